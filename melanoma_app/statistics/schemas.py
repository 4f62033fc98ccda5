"""What the statistics part of the API takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, pre_load, validate
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import MultiDict

from melanoma_app.models.outcome_count import UNKNOWN
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    Dimension,
    FitzpatrickSkinType,
    Gender,
    OutcomeLabel,
    Period,
    StatisticsUnit,
)
from melanoma_app.rest import StrictSchema
from melanoma_app.services.agreement import AGAINST
from melanoma_app.services.count_groups import BAND_YEARS, WIDEST_BAND_YEARS
from melanoma_app.services.patients import OLDEST_AGE_YEARS
from melanoma_app.services.small_numbers import ROUNDED_TO, SMALLEST_SHOWN
from melanoma_app.services.statistics_filter import StatisticsFilter
from melanoma_app.statistics.definitions import INTERVAL, OLDEST_BAND

_AGE: Final = validate.Range(0, OLDEST_AGE_YEARS)
_SKIN_TYPES: Final = (*(one.value for one in FitzpatrickSkinType), UNKNOWN)
_MODEL_LENGTH: Final = 100
_FILTERS: Final = tuple(StatisticsFilter.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class StatisticsCall:
    """What a call asks for.

    Args:
        chosen: What counts.
        options: How it is divided into groups.
        file_format: `json` or `csv` if the call says so, whatever its Accept header says.
    """

    chosen: StatisticsFilter
    options: dict[str, Any]
    file_format: str | None


class FilterSchema(StrictSchema):
    """Which tests, lesions or patients count."""

    date_from = fields.Date(
        metadata={
            "description": "First day of the photographs, in the clinic's time zone",
            "example": "2026-01-01",
        }
    )
    date_to = fields.Date(metadata={"description": "Last day, included", "example": "2026-12-31"})
    gender = fields.Enum(Gender, by_value=True, metadata={"description": "As the patient's record says now"})
    age_min = fields.Integer(
        validate=_AGE, metadata={"description": "Lowest age: completed years on the day of the photograph"}
    )
    age_max = fields.Integer(validate=_AGE, metadata={"description": "Highest age, included"})
    site = fields.Enum(
        AnatomSiteGeneral, by_value=True, metadata={"description": "The lesion's general anatomical site"}
    )
    skin_type = fields.String(
        validate=validate.OneOf(_SKIN_TYPES),
        metadata={
            "description": "The patient's Fitzpatrick skin type; `unknown` where nobody has recorded one"
        },
    )
    outcome = fields.Enum(
        OutcomeLabel, by_value=True, metadata={"description": "What the newest prediction says"}
    )
    model = fields.String(
        validate=validate.Length(1, _MODEL_LENGTH),
        metadata={
            "description": "The model that gave the newest prediction, by name and version",
            "example": "custom_cnn-1.1.0",
        },
    )
    unit = fields.Enum(
        StatisticsUnit,
        by_value=True,
        metadata={
            "description": "What is counted: `test` (a photograph with its newest prediction; taken when nothing is "
            "said), `lesion` (its latest test) or `patient` (the first positive test, else the latest)"
        },
    )


class StatisticsArgumentsSchema(FilterSchema):
    """The filters, and the form of the answer."""

    format = fields.String(
        validate=validate.OneOf(["json", "csv"]), metadata={"description": "Comes before the Accept header"}
    )

    @pre_load
    def refuse_repeated(self, data: Any, **_: Any) -> Any:
        """Of a filter that is given twice only one would count."""
        given = data.data if isinstance(data, MultiDictProxy) else data
        if isinstance(given, MultiDict):
            repeated = {name: ["Give it once."] for name, values in given.lists() if len(values) > 1}
            if repeated:
                raise ValidationError(repeated)
        return data

    @post_load
    def gather(self, data: dict[str, Any], **_: Any) -> StatisticsCall:
        """The call, its filters made one.

        Raises:
            InvalidInputError: A range ends before it starts.
        """
        if data.get("skin_type", UNKNOWN) != UNKNOWN:
            data["skin_type"] = FitzpatrickSkinType(data["skin_type"])
        return StatisticsCall(
            chosen=StatisticsFilter(**{name: data.pop(name) for name in _FILTERS if name in data}),
            file_format=data.pop("format", None),
            options=data,
        )


def _band_years() -> fields.Integer:
    return fields.Integer(
        validate=validate.Range(1, WIDEST_BAND_YEARS),
        metadata={"description": f"Years a band of ages, {BAND_YEARS} when nothing is said; {OLDEST_BAND}"},
    )


def _period(usual: Period) -> fields.Field[Any]:
    return fields.Enum(
        Period,
        by_value=True,
        metadata={
            "description": f"How long a period is, `{usual}` when nothing is said; a week is that of ISO 8601"
        },
    )


class AgeArgumentsSchema(StatisticsArgumentsSchema):
    """The filters, and how wide the bands are."""

    band_years = _band_years()


class TrendArgumentsSchema(StatisticsArgumentsSchema):
    """The filters, and how long the periods are."""

    period = _period(Period.MONTH)


class CrosstabArgumentsSchema(StatisticsArgumentsSchema):
    """The filters, and the two properties."""

    rows = fields.Enum(
        Dimension, by_value=True, required=True, metadata={"description": "The property of the rows"}
    )
    columns = fields.Enum(
        Dimension, by_value=True, required=True, metadata={"description": "Another property, for the columns"}
    )
    band_years = _band_years()
    period = _period(Period.YEAR)


def _count(description: str) -> fields.Integer:
    return fields.Integer(required=True, allow_none=True, metadata={"description": description})


class CountsSchema(Schema):
    """How many were positive and negative; null stands for a count too small to be shown to this account."""

    positive = _count("Newest prediction says malignant")
    negative = _count("It says benign")
    total = _count("Both together")


class GroupSchema(CountsSchema):
    """The counts of a group."""

    group = fields.String(required=True, metadata={"description": "The value that the group has in common"})


class AnswerSchema(Schema):
    """What every statistic says of itself."""

    definition = fields.String(required=True, metadata={"description": "What was counted, in words"})
    unit = fields.Enum(StatisticsUnit, by_value=True, required=True)
    filters = fields.Nested(
        FilterSchema, required=True, metadata={"description": "The filters that were given"}
    )
    total = fields.Nested(
        CountsSchema, required=True, metadata={"description": "All that the filters let through"}
    )
    is_protected = fields.Boolean(
        required=True,
        metadata={
            "description": f"Whether counts under {SMALLEST_SHOWN} are left out and the others moved and rounded to "
            f"multiples of {ROUNDED_TO}"
        },
    )


class StatisticsSchema(AnswerSchema):
    """The groups in their order, empty ones included."""

    groups = fields.List(fields.Nested(GroupSchema), required=True)


class CrosstabSchema(AnswerSchema):
    """`cells[row][column]`, with the totals of each row and each column."""

    rows = fields.List(fields.String(), required=True)
    columns = fields.List(fields.String(), required=True)
    cells = fields.List(fields.List(fields.Nested(CountsSchema)), required=True)
    row_totals = fields.List(fields.Nested(GroupSchema), required=True)
    column_totals = fields.List(fields.Nested(GroupSchema), required=True)


class RateSchema(Schema):
    """A share, 0–1."""

    value = fields.Float(required=True)
    low = fields.Float(required=True, metadata={"description": f"Lower end of the {INTERVAL}"})
    high = fields.Float(required=True, metadata={"description": f"Upper end of the {INTERVAL}"})


def _rate(description: str) -> fields.Nested:
    return fields.Nested(
        RateSchema,
        required=True,
        allow_none=True,
        metadata={
            "description": f"{description}; null where there is nothing to divide, or a count is not shown"
        },
    )


class ConclusionAgreementSchema(Schema):
    """The model's answers against one kind of conclusion; positive means malignant."""

    against = fields.String(required=True, validate=validate.OneOf(AGAINST))
    true_positive = _count("Both say malignant")
    false_positive = _count("The model alone says malignant")
    false_negative = _count("The model alone says benign")
    true_negative = _count("Both say benign")
    sensitivity = _rate("Of what was concluded malignant, the share that the model calls malignant")
    specificity = _rate("Of what was concluded benign, the share that the model calls benign")
    positive_predictive_value = _rate("Of what the model calls malignant, the share that was concluded so")
    negative_predictive_value = _rate("Of what the model calls benign, the share that was concluded so")


class AgreementSchema(AnswerSchema):
    """The model against signed reviews, then against laboratory reports."""

    comparisons = fields.List(fields.Nested(ConclusionAgreementSchema), required=True)
    warning = fields.String(required=True, metadata={"description": "What these rates do not say"})
