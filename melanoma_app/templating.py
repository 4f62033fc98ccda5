"""What templates may use: dates, ages and shares in words, and the browser libraries with where they come from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import Flask, g, url_for

from melanoma_app.models.vocabulary import AnatomSiteGeneral, BirthDatePrecision, Gender, OutcomeLabel, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.birth_dates import age_in_years

_DAYS_A_MONTH: Final = 30.44
_DAYS_A_YEAR: Final = 365.25


@dataclass(frozen=True, kw_only=True)
class Library:
    """A file of a browser library: served by the app when it has been fetched, else from its CDN."""

    address: str
    integrity: str
    is_local: bool


class Libraries:
    """The pinned browser libraries of `static/vendor.lock.json`, by file name.

    Args:
        static_folder: Where the lock is, and `vendor/` with what was fetched.
    """

    def __init__(self, static_folder: Path) -> None:
        self._files: dict[str, tuple[str, str, bool]] = {}
        for entry in json.loads((static_folder / "vendor.lock.json").read_text(encoding="utf-8")):
            name = Path(entry["file"]).name
            local = f"vendor/{entry['name']}-{entry['version']}/{name}"
            is_local = (static_folder / local).is_file()
            self._files[name] = (local if is_local else entry["url"], entry["integrity"], is_local)

    @property
    def origins(self) -> tuple[str, ...]:
        """The foreign origins the pages need; none once all libraries have been fetched."""
        origins = {
            "{0.scheme}://{0.netloc}".format(urlsplit(where))
            for where, _, is_local in self._files.values()
            if not is_local
        }
        return tuple(sorted(origins))

    def __getitem__(self, name: str) -> Library:
        where, integrity, is_local = self._files[name]
        return Library(
            address=url_for("static", filename=where) if is_local else where,
            integrity=integrity,
            is_local=is_local,
        )


def init_templating(app: Flask) -> Libraries:
    """Give the templates their filters and globals."""
    libraries = Libraries(Path(str(app.static_folder)))
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals |= {
        "libraries": libraries,
        "Gender": Gender,
        "AnatomSiteGeneral": AnatomSiteGeneral,
        "BirthDatePrecision": BirthDatePrecision,
        "OutcomeLabel": OutcomeLabel,
        "Role": Role,
    }
    app.jinja_env.filters |= {
        "day": format_day,
        "day_and_age": format_day_with_distance,
        "moment": format_moment,
        "age": format_age,
        "percent": format_percent,
        "answered": format_answer,
    }
    return libraries


def format_day(value: date | datetime) -> str:
    """`12 Mar 2026`, in the clinic's zone."""
    day = _local(value)
    return f"{day.day} {day:%b %Y}"


def format_day_with_distance(value: date | datetime) -> str:
    """`12 Mar 2026 (8 months ago)`."""
    return f"{format_day(value)} ({describe_distance(_local(value), today=_local(datetime.now(UTC)))})"


def format_moment(value: datetime) -> str:
    """`12 Mar 2026, 14:05`, in the clinic's zone."""
    return f"{format_day(value)}, {value.astimezone(_zone()):%H:%M}"


def format_age(birth_date: date) -> str:
    """`47 years`; under two years `8 months`."""
    today = _local(datetime.now(UTC))
    years = age_in_years(birth_date, on=today)
    if years >= 2:
        return f"{years} years"
    months = (
        (today.year - birth_date.year) * 12 + today.month - birth_date.month - (today.day < birth_date.day)
    )
    return _count(months, "month")


def format_percent(share: float) -> str:
    """`7.4 %`: a share of 0–1 with one decimal; what is not quite 0 or 100 is not called so."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share * 100:.1f} %"


def format_answer(value: bool | None) -> str:
    """`Yes`, `No` or `Not recorded`."""
    return {True: "Yes", False: "No", None: "Not recorded"}[value]


def describe_distance(day: date, *, today: date) -> str:
    """How long ago a day was, in the largest unit that fits: `today`, `3 days ago`, `in 2 weeks`."""
    days = (today - day).days
    if days == 0:
        return "today"
    size = abs(days)
    if size < 14:
        words = _count(size, "day")
    elif size < 60:
        words = _count(size // 7, "week")
    elif size < 2 * _DAYS_A_YEAR:
        words = _count(int(size / _DAYS_A_MONTH), "month")
    else:
        words = _count(int(size / _DAYS_A_YEAR), "year")
    return f"{words} ago" if days > 0 else f"in {words}"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _local(value: date | datetime) -> date:
    return value.astimezone(_zone()).date() if isinstance(value, datetime) else value


def _zone() -> Any:
    """The zone of the clinic in whose name somebody acts, by page or by token; UTC where nobody is known."""
    actor: Actor | None = g.get("actor")
    return ZoneInfo(actor.user.clinic.time_zone) if actor else UTC
