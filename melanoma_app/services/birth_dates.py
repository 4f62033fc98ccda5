"""Dates as people write them, and a birth date of which only the year or the age is known."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final

from melanoma_app.models.vocabulary import BirthDatePrecision

LONGEST_TEXT: Final = 40
"""Characters; a longer text is no date."""
_MONTHS: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_SHORTEST_MONTH: Final = 3
"""Letters by which a month is known: Jan, Sept."""
_MIDDLE_OF_THE_YEAR: Final = (7, 1)
"""1 July: no birthday of the year is further away than half a year."""
_DAY: Final = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_WORD: Final = r"(?P<word>[a-z]+)\.?"
_YEAR: Final = r"(?P<year>\d{4}|\d{2})"
_FORMS: Final = (
    re.compile(r"(?P<year>\d{4})[-./ ](?P<month>\d{1,2})[-./ ](?P<day>\d{1,2})"),
    re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"),
    re.compile(rf"{_DAY}[ .-]*{_WORD}[ ,-]*{_YEAR}"),
    re.compile(rf"{_WORD} ?{_DAY}(?:, ?| ){_YEAR}"),
)
_EITHER_ORDER: Final = re.compile(
    rf"(?P<day>\d{{1,2}})(?P<gap>[-./ ]) ?(?P<month>\d{{1,2}})(?P=gap) ?{_YEAR}"
)


def read_dates(text: str, *, today: date) -> tuple[date, ...]:
    """The dates that a text may mean, the likelier first; none where it is no date.

    The day stands before the month, as nearly everywhere; the other order comes second where it is a date, too.
    A year of two digits is the latest one that is not in the future.
    """
    text = " ".join(text.casefold().split())[: LONGEST_TEXT + 1]
    for form in _FORMS:
        if match := form.fullmatch(text):
            found = _date_of(match.groupdict(), today)
            return (found,) if found else ()
    if match := _EITHER_ORDER.fullmatch(text):
        parts = match.groupdict()
        turned = parts | {"day": parts["month"], "month": parts["day"]}
        readings = (_date_of(parts, today), _date_of(turned, today))
        return tuple(dict.fromkeys(reading for reading in readings if reading))
    return ()


def parse_date(text: str, *, today: date) -> date | None:
    """The likeliest date that a text may mean; None where it is no date."""
    return next(iter(read_dates(text, today=today)), None)


def read_birth_date(text: str, *, today: date) -> tuple[date, BirthDatePrecision] | None:
    """A birth date as staff know it: the whole date, the year alone, or the age in years.

    A year and an age become 1 July of the year of birth, which is then an estimate; 1 July of a year that has not
    come so far becomes today. None where the text is none of them.
    """
    if born := parse_date(text, today=today):
        return born, BirthDatePrecision.EXACT
    number = text.strip()
    if re.fullmatch(r"\d{4}", number):
        year = int(number)
    elif re.fullmatch(r"\d{1,3}", number):
        year = today.year - int(number) - ((today.month, today.day) < _MIDDLE_OF_THE_YEAR)
    else:
        return None
    if year < 1:
        return None
    born = date(year, *_MIDDLE_OF_THE_YEAR)
    return (min(born, today) if year == today.year else born), BirthDatePrecision.ESTIMATED


def write_birth_date(birth_date: date, precision: BirthDatePrecision) -> str:
    """A birth date as `read_birth_date` reads it back: an estimate's year alone, where that is all it says."""
    is_year = (birth_date.month, birth_date.day) == _MIDDLE_OF_THE_YEAR
    if precision is BirthDatePrecision.ESTIMATED and is_year:
        return f"{birth_date.year:04d}"
    return birth_date.isoformat()


def age_in_years(birth_date: date, *, on: date) -> int:
    """Completed years of life; somebody born on 29 February ages on 1 March in common years."""
    return on.year - birth_date.year - ((on.month, on.day) < (birth_date.month, birth_date.day))


def _date_of(parts: dict[str, Any], today: date) -> date | None:
    """The date that is written in parts; None for a 31 February or a month that there is none of."""
    try:
        month = int(parts["month"]) if "month" in parts else _month_of(parts["word"])
        year = int(parts["year"])
        if len(parts["year"]) > 2:
            return date(year, month, int(parts["day"]))
        found = date(today.year // 100 * 100 + year, month, int(parts["day"]))
        return found if found <= today else found.replace(year=found.year - 100)
    except ValueError:
        return None


def _month_of(word: str) -> int:
    """1–12 for the name of a month or its beginning; 0, which no date has, for any other word."""
    if len(word) < _SHORTEST_MONTH:
        return 0
    return next((number for number, name in enumerate(_MONTHS, start=1) if name.startswith(word)), 0)
