"""Which tests, lesions or patients a statistic counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from melanoma_app.errors import InvalidInputError
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    FitzpatrickSkinType,
    Gender,
    OutcomeLabel,
    StatisticsUnit,
)

WHOLE_AGES_YEARS: Final = 10
"""The ages that those who see protected counts may tell apart."""
OLDEST_BAND_FROM_YEARS: Final = 90
"""From here on ages share one band, as HIPAA's Safe Harbor asks of published ages (45 CFR 164.514(b)(2))."""
UnknownSkinType = Literal["unknown"]


@dataclass(frozen=True, kw_only=True)
class StatisticsFilter:
    """What counts; None leaves a property open.

    `date_from` and `date_to` are days of the clinic, both included; ages are completed years on the day of the
    photograph, both included. `model` is a released model by name and version. `review` and `histology` leave only
    tests whose signed review, or whose lesion's laboratory report, says so.
    """

    date_from: date | None = None
    date_to: date | None = None
    gender: Gender | None = None
    age_min: int | None = None
    age_max: int | None = None
    site: AnatomSiteGeneral | None = None
    skin_type: FitzpatrickSkinType | UnknownSkinType | None = None
    outcome: OutcomeLabel | None = None
    model: str | None = None
    review: OutcomeLabel | None = None
    histology: OutcomeLabel | None = None
    unit: StatisticsUnit = StatisticsUnit.TEST

    def __post_init__(self) -> None:
        """Refuse ranges that end before they start.

        Raises:
            InvalidInputError: One does.
        """
        if self.date_from and self.date_to and self.date_from > self.date_to:
            raise _refused("date_from", "The first day is after the last. Swap them.")
        if self.age_min is not None and self.age_max is not None and self.age_min > self.age_max:
            raise _refused("age_min", "The lowest age is above the highest. Swap them.")

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are set, by name; the unit only where it is not the usual one."""
        return {
            name: value
            for name, value in vars(self).items()
            if value is not None and value is not StatisticsUnit.TEST
        }

    def check_whole(self) -> None:
        """Refuse days and ages whose counts could be set against those of overlapping ones.

        Raises:
            InvalidInputError: The days are neither open nor one calendar year, or the ages neither open nor one band of
                ten years.
        """
        self._check_whole_year()
        self._check_whole_band()

    def _check_whole_year(self) -> None:
        first, last = self.date_from, self.date_to
        if first is None and last is None:
            return
        if first and last and (first, last) == (date(first.year, 1, 1), date(first.year, 12, 31)):
            return
        begins = first is not None and (first.month, first.day) == (1, 1)
        ends = last is not None and (last.month, last.day) == (12, 31)
        is_start_wrong = not begins and (first is not None or ends)
        raise _refused(
            "date_from" if is_start_wrong else "date_to",
            "Your account sees one calendar year, from 1 January to 31 December, or all days.",
        )

    def _check_whole_band(self) -> None:
        youngest, oldest = self.age_min, self.age_max
        if youngest is None and oldest is None:
            return
        ends = oldest is None or (oldest + 1) % WHOLE_AGES_YEARS == 0
        begins = youngest is not None and youngest % WHOLE_AGES_YEARS == 0
        if youngest is not None and begins and ends:
            last = youngest + WHOLE_AGES_YEARS - 1 if youngest < OLDEST_BAND_FROM_YEARS else None
            if oldest == last and youngest <= OLDEST_BAND_FROM_YEARS:
                return
        raise _refused(
            "age_min" if not begins and (youngest is not None or ends) else "age_max",
            "Your account sees one band of ten years, such as 40 to 49 or 90 with no upper end, or all ages.",
        )


def _refused(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, fields={field: [message]})
