"""The statistics part of the REST API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flask import Response

from melanoma_app.models.vocabulary import Dimension
from melanoma_app.rest import ApiBlueprint, ErrorSchema
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.agreement import Agreement
from melanoma_app.services.record_export import Row
from melanoma_app.services.statistics import (
    GroupCount,
    count_by_age,
    count_by_gender,
    count_by_model,
    count_by_site,
    count_by_skin_type,
    count_outcomes,
    count_trend,
    is_protected_for,
    measure_agreement,
)
from melanoma_app.services.statistics import crosstab as count_crosstab
from melanoma_app.statistics.answers import CSV, Table, choose_media_type, send_answer
from melanoma_app.statistics.definitions import AGREEMENT, AGREEMENT_WARNING, DESCRIPTION, define
from melanoma_app.statistics.schemas import (
    AgeArgumentsSchema,
    AgreementSchema,
    AnswerSchema,
    CrosstabArgumentsSchema,
    CrosstabSchema,
    StatisticsArgumentsSchema,
    StatisticsCall,
    StatisticsSchema,
    TrendArgumentsSchema,
)

blueprint = ApiBlueprint("statistics", __name__, url_prefix="/api/v1/statistics", description=DESCRIPTION)
View = Callable[[StatisticsCall], Response]

_COUNTS: Final = ("positive", "negative", "total")
_AGREEMENT_COUNTS: Final = ("true_positive", "false_positive", "false_negative", "true_negative")
_RATES: Final = ("sensitivity", "specificity", "positive_predictive_value", "negative_predictive_value")
_ENDS: Final = {"": "value", "_low": "low", "_high": "high"}
"""What a rate's columns are called, and what stands in them."""
_IF_NONE_MATCH: Final = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "The `ETag` of an earlier answer",
}
_ETAG: Final = {"ETag": {"schema": {"type": "string"}, "description": "Changes when the answer does"}}


def _statistic(
    address: str,
    *,
    arguments: type[StatisticsArgumentsSchema] = StatisticsArgumentsSchema,
    answer: type[AnswerSchema] = StatisticsSchema,
) -> Callable[[View], View]:
    """An operation that answers with a statistic, in all the ways that the document promises."""

    def register(view: View) -> View:
        for dress in (
            blueprint.response(200, answer, headers=_ETAG),
            blueprint.response(
                200, {"type": "string"}, content_type=CSV, description="OK: the same as rows", headers=_ETAG
            ),
            blueprint.alt_response(304, description="The answer is still the one of If-None-Match"),
            blueprint.alt_response(406, schema=ErrorSchema, description="Neither JSON nor CSV is accepted"),
            blueprint.arguments(arguments, location="query"),
            requires_token(Permission.READ_STATISTICS),
            blueprint.route(address, parameters=[_IF_NONE_MATCH]),
        ):
            view = dress(view)
        return view

    return register


@_statistic("/gender")
def by_gender(call: StatisticsCall) -> Response:
    """Count by gender.

    One group for each gender, empty ones included: what the patient's record says now.
    """
    return _answer_groups("gender", call, count_by_gender, Dimension.GENDER)


@_statistic("/age", arguments=AgeArgumentsSchema)
def by_age(call: StatisticsCall) -> Response:
    """Count by age.

    One group for each band, empty ones included. The age is in completed years on the day of the photograph, so a
    patient can stand in several bands. The last band holds the age of 90 and all above, and begins at the last whole
    multiple of the width up to 90: `90+`, or `80+` for `band_years=20`. A band of one year is named by it: `42`.
    """
    return _answer_groups("age", call, count_by_age, Dimension.AGE)


@_statistic("/outcomes")
def outcomes(call: StatisticsCall) -> Response:
    """Count all, as one group.

    The group is called `all`: how many were positive, how many negative.
    """
    return _answer_groups("outcomes", call, lambda **asked: [count_outcomes(**asked)], Dimension.OUTCOME)


@_statistic("/trend", arguments=TrendArgumentsSchema)
def trend(call: StatisticsCall) -> Response:
    """Count by the day, week, month or year of the photograph.

    From the first period that counts anything to the last; empty ones between them included. The day is that of the
    clinic's time zone. Groups are called `2026-03-04`, `2026-W10` (ISO 8601: begins on Monday, and belongs to the year
    of its Thursday), `2026-03`, `2026`. A period that the date range cuts counts only the days within the range.
    """
    return _answer_groups("trend", call, count_trend, Dimension.PERIOD)


@_statistic("/sites")
def sites(call: StatisticsCall) -> Response:
    """Count by the general anatomical site of the lesion.

    One group for each site, empty ones included.
    """
    return _answer_groups("sites", call, count_by_site, Dimension.SITE)


@_statistic("/skin-types")
def skin_types(call: StatisticsCall) -> Response:
    """Count by the Fitzpatrick skin type of the patient.

    One group for each type and `unknown` where nobody has recorded one, empty ones included.
    """
    return _answer_groups("skin-types", call, count_by_skin_type, Dimension.SKIN_TYPE)


@_statistic("/models")
def models(call: StatisticsCall) -> Response:
    """Count by the model that gave the newest prediction.

    One group for each name and version whose answer counts for at least one photograph. A re-scored photograph counts
    under the model that looked at it last.
    """
    return _answer_groups("models", call, count_by_model, Dimension.MODEL)


@_statistic("/agreement", answer=AgreementSchema)
def agreement(call: StatisticsCall) -> Response:
    """Set the model against signed reviews and against laboratory reports.

    `review`: the newest prediction of a photograph against what its signed review concludes. `histology`: against the
    newest laboratory report on the lesion; photographs taken after the day of the report are left out, for they show
    the scar. Each rate has its 95 % Wilson score interval. `total` is all that the filters let through, whether
    something is set against it or not.

    For `unit=lesion` and `unit=patient` the latest test (or first positive one) *among those with a review*, or with a
    report, stands for the lesion or patient.

    **Warning:** only lesions that somebody decided to biopsy have a laboratory report, and who signs a review may have
    seen the model's answer. So none of these rates is the model's performance among all patients.
    """
    media_type, actor = choose_media_type(call), current_actor()
    compared = measure_agreement(chosen=call.chosen, actor=actor)
    answer = {
        **_describe(call),
        "definition": f"{define(call.chosen.unit)} {AGREEMENT}",
        "warning": AGREEMENT_WARNING,
        "total": count_outcomes(chosen=call.chosen, actor=actor),
        "comparisons": compared,
    }
    columns = ("against", *_AGREEMENT_COUNTS, *(f"{rate}{end}" for rate in _RATES for end in _ENDS))
    rows = [_comparison_row(one) for one in compared]
    table = Table(name="agreement", columns=columns, counts=_AGREEMENT_COUNTS, rows=rows)
    return send_answer(media_type, answer, AgreementSchema(), table)


@_statistic("/crosstab", arguments=CrosstabArgumentsSchema, answer=CrosstabSchema)
def crosstab(call: StatisticsCall) -> Response:
    """Count by any two properties.

    `cells[r][c]` belongs to `rows[r]` and `columns[c]`. The groups are those of the statistics by one property;
    `band_years` is for ages and `period` for the days of the photographs. With `outcome` as a property, the group
    `malignant` has the positives and `benign` the negatives. As CSV, one row a cell.
    """
    media_type, actor = choose_media_type(call), current_actor()
    counted = count_crosstab(chosen=call.chosen, actor=actor, **call.options)
    by = (call.options["rows"], call.options["columns"])
    answer = {**vars(counted), **_describe(call), "definition": define(call.chosen.unit, *by)}
    rows = (
        {"row": row, "column": cell.group, **vars(cell)}
        for row, line in zip(counted.rows, counted.cells, strict=True)
        for cell in line
    )
    table = Table(name=f"{by[0]}-by-{by[1]}", columns=("row", "column", *_COUNTS), counts=_COUNTS, rows=rows)
    return send_answer(media_type, answer, CrosstabSchema(), table)


def _answer_groups(
    name: str, call: StatisticsCall, count: Callable[..., list[GroupCount]], by: Dimension
) -> Response:
    media_type, actor = choose_media_type(call), current_actor()
    groups = count(chosen=call.chosen, actor=actor, **call.options)
    answer = {
        **_describe(call),
        "definition": define(call.chosen.unit, by),
        "total": count_outcomes(chosen=call.chosen, actor=actor),
        "groups": groups,
    }
    table = Table(
        name=name, columns=("group", *_COUNTS), counts=_COUNTS, rows=[vars(group) for group in groups]
    )
    return send_answer(media_type, answer, StatisticsSchema(), table)


def _comparison_row(one: Agreement) -> Row:
    rates = {
        f"{rate}{suffix}": getattr(getattr(one, rate), end, None)
        for rate in _RATES
        for suffix, end in _ENDS.items()
    }
    return vars(one) | rates


def _describe(call: StatisticsCall) -> dict[str, Any]:
    return {
        "unit": call.chosen.unit,
        "filters": call.chosen.given,
        "is_protected": is_protected_for(current_actor()),
    }
