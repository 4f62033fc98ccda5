"""The numbers of each chart as the rows of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from melanoma_app.dashboard.charts import RATES
from melanoma_app.models.vocabulary import Dimension, Period
from melanoma_app.services.actor import Actor
from melanoma_app.services.agreement import Agreement, Rate
from melanoma_app.services.statistics import (
    Crosstab,
    GroupCount,
    count_by_age,
    count_by_gender,
    count_by_model,
    count_by_site,
    count_by_skin_type,
    count_outcomes,
    count_trend,
    crosstab,
    measure_agreement,
)
from melanoma_app.services.statistics_filter import StatisticsFilter

COUNTED: Final[Mapping[str, Callable[..., GroupCount | list[GroupCount]]]] = {
    "result": count_outcomes,
    "period": count_trend,
    "gender": count_by_gender,
    "age": count_by_age,
    "site": count_by_site,
    "skin-type": count_by_skin_type,
    "model": count_by_model,
}
FILES: Final = (*COUNTED, "agreement", "crosstab")
"""Every chart whose numbers can be had as a file."""
Row = Mapping[str, Any]
_COUNTS: Final = ("positive", "negative", "total")
_AGREED: Final = ("true_positive", "false_positive", "false_negative", "true_negative")


def write_rows(
    name: str,
    *,
    chosen: StatisticsFilter,
    actor: Actor,
    period: Period,
    band_years: int,
    rows: Dimension,
    columns: Dimension,
) -> tuple[Sequence[str], list[Row]]:
    """The numbers of a chart, and the names of their columns; with all groups, and with what was counted.

    Raises:
        InvalidInputError: A width, a filter or a pair of properties is refused.
    """
    if name == "agreement":
        found = [_describe_agreement(one) for one in measure_agreement(chosen=chosen, actor=actor)]
    elif name == "crosstab":
        found = _describe_crosstab(
            crosstab(
                chosen=chosen, actor=actor, rows=rows, columns=columns, band_years=band_years, period=period
            )
        )
    else:
        fineness: dict[str, dict[str, Any]] = {
            "age": {"band_years": band_years},
            "period": {"period": period},
        }
        counted = COUNTED[name](chosen=chosen, actor=actor, **fineness.get(name, {}))
        groups = [counted] if isinstance(counted, GroupCount) else counted
        found = [{"group": one.group} | _describe_count(one) for one in groups]
    filters = " ".join(f"{key}={value}" for key, value in chosen.given.items())
    names = list(found[0]) if found else ["group", *_COUNTS]
    return [*names, "suppressed", "unit", "filters"], [
        one | {"suppressed": _hides_count(one), "unit": chosen.unit, "filters": filters} for one in found
    ]


def _hides_count(row: Row) -> bool:
    """Whether a count of the row is too small to be shown, so that its cell is empty."""
    return any(row.get(name, 0) is None for name in (*_COUNTS, *_AGREED))


def _describe_count(one: GroupCount) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _COUNTS}


def _describe_crosstab(table: Crosstab) -> list[dict[str, Any]]:
    lines = [
        *zip(table.rows, table.cells, table.row_totals, strict=True),
        ("all", table.column_totals, table.total),
    ]
    return [
        {"row": row, "column": column} | _describe_count(cell)
        for row, cells, total in lines
        for column, cell in zip((*table.columns, "all"), (*cells, total), strict=True)
    ]


def _describe_agreement(one: Agreement) -> dict[str, Any]:
    described: dict[str, Any] = {"against": one.against}
    for name in _AGREED:
        described[name] = getattr(one, name)
    for name in RATES:
        rate: Rate | None = getattr(one, name)
        described[name] = rate and rate.value
        described[f"{name}_low"] = rate and rate.low
        described[f"{name}_high"] = rate and rate.high
    return described
