from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from melanoma_app.templating import (
    Libraries,
    describe_distance,
    format_age,
    format_answer,
    format_day,
    format_moment,
    format_percent,
)

TODAY = date(2026, 3, 12)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0, "today"),
        (1, "1 day ago"),
        (3, "3 days ago"),
        (13, "13 days ago"),
        (14, "2 weeks ago"),
        (59, "8 weeks ago"),
        (61, "2 months ago"),
        (365, "11 months ago"),
        (366, "12 months ago"),
        (731, "2 years ago"),
        (3653, "10 years ago"),
        (-1, "in 1 day"),
        (-14, "in 2 weeks"),
        (-731, "in 2 years"),
    ],
)
def test_distance_is_worded_in_the_largest_fitting_unit_when_days_apart(days: int, expected: str) -> None:
    assert describe_distance(TODAY - timedelta(days=days), today=TODAY) == expected


@given(days=st.integers(1, 40_000))
def test_distance_reads_alike_both_ways_when_only_the_direction_differs(days: int) -> None:
    past = describe_distance(TODAY - timedelta(days=days), today=TODAY)
    future = describe_distance(TODAY + timedelta(days=days), today=TODAY)

    assert past.removesuffix(" ago") == future.removeprefix("in ")


@given(days=st.integers(1, 40_000))
def test_distance_is_never_overstated_when_rounded(days: int) -> None:
    number, unit, _ = describe_distance(TODAY - timedelta(days=days), today=TODAY).split()
    shortest = {"day": 1, "week": 7, "month": 28, "year": 365}[unit.rstrip("s")]

    assert 1 <= int(number) * shortest <= days


@given(days=st.integers(1, 40_000))
def test_unit_is_singular_only_when_the_number_is_one(days: int) -> None:
    number, unit, _ = describe_distance(TODAY - timedelta(days=days), today=TODAY).split()

    assert unit.endswith("s") == (number != "1")


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (0.074, "7.4 %"),
        (0.0004, "< 0.1 %"),
        (0.9996, "> 99.9 %"),
        (0.001, "0.1 %"),
        (0.999, "99.9 %"),
    ],
)
def test_percent_has_one_decimal_when_worded(share: float, expected: str) -> None:
    assert format_percent(share) == expected


@given(share=st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_percent_claims_no_certainty_when_the_share_is_neither_0_nor_1(share: float) -> None:
    assert format_percent(share) not in ("0.0 %", "100.0 %")


@pytest.mark.parametrize(("value", "word"), [(True, "Yes"), (False, "No"), (None, "Not recorded")])
def test_answer_is_worded_when_given_or_not(value: bool | None, word: str) -> None:
    assert format_answer(value) == word


class TestInARequest:
    """Words that depend on the clinic's zone; without anybody signed in that is UTC."""

    @pytest.fixture(autouse=True)
    def _request(self, tmp_path: Path) -> object:
        from config import Settings
        from melanoma_app import create_app

        app: Flask = create_app(Settings.from_environment({"INSTANCE_FOLDER": str(tmp_path), "DEMO": "0"}))
        with app.test_request_context("/"):
            yield

    def test_day_has_a_month_in_letters_when_written(self) -> None:
        assert format_day(date(2026, 3, 2)) == "2 Mar 2026"

    def test_moment_has_its_clock_when_written(self) -> None:
        assert format_moment(datetime(2026, 3, 2, 4, 5, tzinfo=UTC)) == "2 Mar 2026, 04:05"

    @pytest.mark.parametrize(("years_ago", "word"), [(2, "2 years"), (47, "47 years")])
    def test_age_is_in_years_when_two_or_more(self, years_ago: int, word: str) -> None:
        today = datetime.now(UTC).date()

        assert format_age(date(today.year - years_ago, 1, 1)) == word

    def test_age_is_in_months_when_under_two_years(self) -> None:
        today = datetime.now(UTC).date()

        assert format_age(date(today.year - 1, today.month, 1)) == "12 months"

    def test_age_is_no_month_when_just_born(self) -> None:
        assert format_age(datetime.now(UTC).date()) == "0 months"


def lock(folder: Path) -> None:
    entry = {
        "name": "drawing",
        "version": "1.2.3",
        "file": "dist/drawing.js",
        "url": "https://cdn.example/drawing@1.2.3/dist/drawing.js",
        "integrity": "sha384-abc",
    }
    (folder / "vendor.lock.json").write_text(json.dumps([entry]), encoding="utf-8")


def test_library_comes_from_its_cdn_when_it_was_not_fetched(tmp_path: Path) -> None:
    lock(tmp_path)
    libraries = Libraries(tmp_path)

    assert libraries.origins == ("https://cdn.example",)
    assert libraries["drawing.js"].address == "https://cdn.example/drawing@1.2.3/dist/drawing.js"
    assert libraries["drawing.js"].integrity == "sha384-abc"


def test_library_comes_from_the_app_when_it_was_fetched(tmp_path: Path) -> None:
    lock(tmp_path)
    (tmp_path / "vendor" / "drawing-1.2.3").mkdir(parents=True)
    (tmp_path / "vendor" / "drawing-1.2.3" / "drawing.js").touch()

    with Flask(__name__).test_request_context("/"):
        libraries = Libraries(tmp_path)
        assert libraries.origins == ()
        assert libraries["drawing.js"].address == "/static/vendor/drawing-1.2.3/drawing.js"
        assert libraries["drawing.js"].is_local
