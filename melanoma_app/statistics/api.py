"""The statistics part of the REST API."""

from __future__ import annotations

from typing import Any

from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.statistics import (
    OutcomeCount,
    StatisticsFilter,
    count_by_age,
    count_by_gender,
    count_outcomes,
)
from melanoma_app.statistics.schemas import StatisticsArgumentsSchema, StatisticsSchema

blueprint = ApiBlueprint(
    "statistics",
    __name__,
    url_prefix="/api/v1/statistics",
    description="Counts of tests. A test is an image with its latest prediction; positive means malignant.",
)


@blueprint.route("/gender")
@requires_token(Permission.READ_STATISTICS)
@blueprint.arguments(StatisticsArgumentsSchema, location="query")
@blueprint.response(200, StatisticsSchema)
def by_gender(arguments: dict[str, Any]) -> dict[str, Any]:
    """Tests by the patient's gender."""
    chosen = StatisticsFilter(**arguments)
    return _answer(chosen, count_by_gender(chosen=chosen, actor=current_actor()))


@blueprint.route("/age")
@requires_token(Permission.READ_STATISTICS)
@blueprint.arguments(StatisticsArgumentsSchema, location="query")
@blueprint.response(200, StatisticsSchema)
def by_age(arguments: dict[str, Any]) -> dict[str, Any]:
    """Tests by the patient's age on the day of the photograph, in bands of ten years."""
    chosen = StatisticsFilter(**arguments)
    return _answer(chosen, count_by_age(chosen=chosen, actor=current_actor()))


@blueprint.route("/outcomes")
@requires_token(Permission.READ_STATISTICS)
@blueprint.arguments(StatisticsArgumentsSchema, location="query")
@blueprint.response(200, StatisticsSchema)
def outcomes(arguments: dict[str, Any]) -> dict[str, Any]:
    """All tests, as one group."""
    chosen = StatisticsFilter(**arguments)
    return _answer(chosen, [count_outcomes(chosen=chosen, actor=current_actor())])


def _answer(chosen: StatisticsFilter, groups: list[OutcomeCount]) -> dict[str, Any]:
    return {"groups": groups, "filters": chosen.given}
