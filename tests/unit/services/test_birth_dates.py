from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melanoma_app.models.vocabulary import BirthDatePrecision
from melanoma_app.services.birth_dates import (
    age_in_years,
    parse_date,
    read_birth_date,
    read_dates,
    write_birth_date,
)

TODAY = date(2026, 3, 12)
BORN = date(1962, 4, 27)


@pytest.mark.parametrize(
    "text",
    [
        "1962-04-27",
        "1962-4-27",
        "1962/04/27",
        "19620427",
        "27.4.1962",
        "27/04/1962",
        "27-4-1962",
        " 27 04 1962 ",
        "27. 4. 1962",
        "27 April 1962",
        "27 Apr 1962",
        "27th april, 1962",
        "27-Apr-62",
        "27apr1962",
        "April 27, 1962",
        "Apr. 27 1962",
        "27.4.62",
        "04/27/1962",
        "٢٧.٠٤.١٩٦٢",
    ],
)
def test_date_is_read_when_written_in_a_common_way(text: str) -> None:
    assert read_dates(text, today=TODAY) == (BORN,)


@pytest.mark.parametrize(
    "text",
    [
        "31.02.1962",
        "13/13/1962",
        "1962",
        "27.4",
        "27.4.162",
        "1962-04-27 or so",
        "27 ap 1962",
        "27 foo 1962",
        "",
        "-",
    ],
)
def test_nothing_is_read_when_it_is_no_date(text: str) -> None:
    assert read_dates(text, today=TODAY) == ()


def test_both_orders_are_read_when_either_is_a_date() -> None:
    assert read_dates("4/5/1962", today=TODAY) == (date(1962, 5, 4), date(1962, 4, 5))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12.3.26", date(2026, 3, 12)), ("13.3.26", date(1926, 3, 13)), ("1.1.00", date(2000, 1, 1))],
)
def test_year_of_two_digits_is_never_in_the_future_when_read(text: str, expected: date) -> None:
    assert parse_date(text, today=TODAY) == expected


@given(day=st.dates(date(1000, 1, 1)))
def test_date_is_read_back_when_written_out(day: date) -> None:
    for text in (day.isoformat(), f"{day:%Y%m%d}", f"{day.day}.{day.month}.{day.year}", f"{day:%d %B %Y}"):
        assert parse_date(text, today=TODAY) == day


@given(text=st.text(max_size=30))
def test_text_is_dates_or_nothing_when_anything_is_typed(text: str) -> None:
    assert all(isinstance(one, date) for one in read_dates(text, today=TODAY))
    read_birth_date(text, today=TODAY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("27.4.1962", (BORN, BirthDatePrecision.EXACT)),
        ("1962", (date(1962, 7, 1), BirthDatePrecision.ESTIMATED)),
        ("2026", (TODAY, BirthDatePrecision.ESTIMATED)),
        ("2027", (date(2027, 7, 1), BirthDatePrecision.ESTIMATED)),  # refused later, as in the future
        ("0000", None),
        ("64 or so", None),
    ],
)
def test_birth_is_read_when_only_the_year_is_known(text: str, expected: object) -> None:
    assert read_birth_date(text, today=TODAY) == expected


@given(age=st.integers(0, 120), day=st.integers(0, 800))
def test_age_is_the_one_given_when_a_birth_is_estimated_from_it(age: int, day: int) -> None:
    today = TODAY + timedelta(days=day)

    read = read_birth_date(str(age), today=today)

    assert read is not None
    assert read[1] is BirthDatePrecision.ESTIMATED
    assert age_in_years(read[0], on=today) == age


@given(born=st.dates(date(1900, 1, 1), TODAY), precision=st.sampled_from(BirthDatePrecision))
def test_birth_is_read_back_when_shown_in_the_form(born: date, precision: BirthDatePrecision) -> None:
    read = read_birth_date(write_birth_date(born, precision), today=TODAY)

    assert read is not None
    assert read[0] == born
