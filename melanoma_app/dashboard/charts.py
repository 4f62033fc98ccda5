"""The charts of the overview: what each counts, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import url_for

from melanoma_app.dashboard.words import DIMENSION_WORDS, UNIT_WORDS, name_group
from melanoma_app.models.vocabulary import Dimension, OutcomeLabel, Period, StatisticsUnit
from melanoma_app.services.agreement import Agreement, Rate
from melanoma_app.services.small_numbers import Count
from melanoma_app.services.statistics import GroupCount, Overview
from melanoma_app.services.statistics_filter import StatisticsFilter

STEPS_SHOWN: Final = 120
"""How many periods a page shows: ten years of months. The file has them all."""
RATES: Final = {
    "sensitivity": ("Sensitivity", "Sensitivity"),
    "specificity": ("Specificity", "Specificity"),
    "positive_predictive_value": ("Positive predictive value (PPV)", "PPV"),
    "negative_predictive_value": ("Negative predictive value (NPV)", "NPV"),
}
"""What the rates are called, at length and where there is little room."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A group with its name on the page."""

    label: str
    count: GroupCount

    @property
    def malignant_share(self) -> float | None:
        """0–1; None where a count is zero or not shown. Of both halves, for rounded ones need not make the total."""
        positive, negative = self.count.positive, self.count.negative
        if positive is None or negative is None or positive + negative == 0:
            return None
        return positive / (positive + negative)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart with its table.

    Args:
        name: What it is called in addresses.
        title: What it counts.
        group_name: What the bars are.
        bars: In the order they are shown.
        shape: `bars`, `stacked` (many bars), or `lying` (long names).
        left_out: How many bars before these are not shown.
        is_wide: Whether it takes the whole width.
    """

    name: str
    title: str
    group_name: str
    bars: Sequence[Bar]
    shape: str = "bars"
    left_out: int = 0
    is_wide: bool = False


def draw_charts(counts: Overview, *, unit: StatisticsUnit, period: Period) -> list[Chart]:
    """The charts of the overview, all but agreement, in the order of the page."""
    counted = UNIT_WORDS[unit].many.capitalize()

    def draw(dimension: Dimension, groups: Sequence[GroupCount], by: str, **more: Any) -> Chart:
        return Chart(
            name=dimension.value,
            title=f"{counted} by {by}",
            group_name=DIMENSION_WORDS[dimension],
            bars=[Bar(label=name_group(dimension, one.group, period), count=one) for one in groups],
            **more,
        )

    everything = Chart(
        name="result",
        title=f"{counted} by result",
        group_name="Group",
        bars=[Bar(label="All", count=counts.outcomes)],
    )
    steps = counts.trend[-STEPS_SHOWN:]
    return [
        everything,
        draw(Dimension.MODEL, counts.models, "model that gave the newest answer"),
        draw(
            Dimension.PERIOD,
            steps,
            f"{period} of the photograph",
            shape="stacked",
            left_out=len(counts.trend) - len(steps),
            is_wide=True,
        ),
        draw(Dimension.GENDER, counts.genders, "gender"),
        draw(Dimension.SKIN_TYPE, counts.skin_types, "Fitzpatrick skin type"),
        draw(Dimension.AGE, counts.ages, "age on the day of the photograph", is_wide=True),
        draw(Dimension.SITE, counts.sites, "body site", shape="lying", is_wide=True),
    ]


@dataclass(frozen=True, kw_only=True)
class AgreementCell:
    """How often the model said one thing while the truth was one or the other."""

    said: OutcomeLabel
    count: Count
    filters: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AgreementChart:
    """The model's answers set against what is taken for the truth.

    Args:
        against: `review` or `histology`.
        cells: The model's answers as rows, the truth as columns; malignant before benign.
        rates: Each after its name and its short name.
    """

    against: str
    cells: Sequence[Sequence[AgreementCell]]
    rates: Sequence[tuple[str, str, Rate | None]]

    @property
    def compared(self) -> Count:
        """How many there are; None where a count is not shown."""
        counts = [cell.count for line in self.cells for cell in line]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was compared."""
        return self.compared == 0


def draw_agreement(one: Agreement) -> AgreementChart:
    """The chart of a comparison."""
    counts = [[one.true_positive, one.false_positive], [one.false_negative, one.true_negative]]
    labels = (OutcomeLabel.MALIGNANT, OutcomeLabel.BENIGN)
    return AgreementChart(
        against=one.against,
        cells=[
            [
                AgreementCell(said=said, count=count, filters={"outcome": said, one.against: truth})
                for truth, count in zip(labels, line, strict=True)
            ]
            for said, line in zip(labels, counts, strict=True)
        ],
        rates=[(*names, getattr(one, rate)) for rate, names in RATES.items()],
    )


def tests_url_of(chosen: StatisticsFilter) -> Callable[..., str]:
    """What gives the address of the list behind a number: of all tests, or with a group's filters and more."""

    def tests_url(filters: Mapping[str, Any] | None = None, **more: Any) -> str:
        return url_for("dashboard.examinations", **(chosen.given | dict(filters or {}) | more))

    return tests_url
