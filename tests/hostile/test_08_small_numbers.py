"""Hostile list 8: cells of 1–4.

Whether what leaves can be worked backwards is tried in `tests/unit/services/test_small_numbers.py` (with
`tests/attack.py`); here, whether every door that an analyst has is one that protects.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from itertools import cycle
from random import Random
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.dashboard.chart_files import FILES
from melanoma_app.models import Clinic, User
from melanoma_app.models.vocabulary import Role, StatisticsUnit
from tests.browsing import Browser
from tests.factories import UserFactory
from tests.populations import count_population, write_population
from tests.records import Records

STATISTICS = (
    "gender",
    "age",
    "outcomes",
    "trend?period=year",
    "sites",
    "skin-types",
    "models",
    "agreement",
    "crosstab?rows=gender&columns=age",
    "crosstab?rows=site&columns=outcome",
    "crosstab?rows=model&columns=period",
)
FILTERS = (
    "",
    "gender=other",
    "date_from=2025-01-01&date_to=2025-12-31",
    "age_min=40&age_max=49",
    "outcome=malignant",
)
COUNTED = re.compile(r"(positive|negative|total|compared|count)$")
"""How the names of counts end; those of rates end otherwise."""
WHOLE_NUMBER = re.compile(r"(?<![\d.,])\d[\d,]*(?![\d.,]*\d|\s?%|\.\d)")
HELD_NUMBERS = ".tile__number, .chart__size, td.number, [data-value]"


@pytest.fixture
def analyst(app: Flask, records: Records) -> User:
    """Somebody who may not see patients, of a clinic where most groups are small and some are not."""
    clinic, _ = write_population(Random(8), patients=30)
    with app.app_context():
        count_population(clinic)
    return UserFactory(clinic=clinic, role=Role.ANALYST)


def counts_in(answer: Any) -> Iterator[int | None]:
    """Every count of a JSON answer, however deep; None for one that is not shown."""
    for name, value in answer.items() if isinstance(answer, dict) else enumerate(answer):
        if isinstance(value, dict | list):
            yield from counts_in(value)
        elif isinstance(name, str) and COUNTED.search(name):
            yield value


def counts_in_file(text: str) -> list[int | None]:
    """Every count of a CSV file; None for an empty cell."""
    rows = csv.DictReader(io.StringIO(text))
    cells = [value for row in rows for name, value in row.items() if COUNTED.search(name)]
    return [int(one) if one else None for one in cells]


def hold_safe(numbers: list[int | None], place: str) -> int:
    """Hold every number to be none, or a whole five; gives how many are shown."""
    shown = [one for one in numbers if one is not None]
    assert [one for one in shown if one < 5 or one % 5] == [], place
    return len(shown)


def join(address: str, *queries: str) -> str:
    return address + "".join(
        f"{'&' if '?' in address or n else '?'}{one}" for n, one in enumerate(filter(None, queries))
    )


def test_no_small_number_leaves_when_an_analyst_calls_the_statistics(
    client: FlaskClient, token_headers: Callable[[User], dict[str, str]], analyst: User
) -> None:
    headers, shown, hidden = token_headers(analyst), 0, 0
    for address in STATISTICS:
        for unit, chosen in zip(cycle(StatisticsUnit), FILTERS, strict=False):
            place = join(f"/api/v1/statistics/{address}", f"unit={unit}", chosen)
            answer = client.get(place, headers=headers)
            assert answer.status_code == 200, place
            numbers = list(counts_in(answer.json))
            shown += hold_safe(numbers, place)
            hidden += numbers.count(None)
        rows = list(
            csv.DictReader(
                io.StringIO(
                    client.get(join(f"/api/v1/statistics/{address}", "format=csv"), headers=headers).text
                )
            )
        )
        cells = [value for row in rows for name, value in row.items() if COUNTED.search(name)]
        shown += hold_safe([int(one) if one else None for one in cells], address)
    assert shown > 50
    assert hidden > 50


def test_no_small_number_leaves_when_an_analyst_opens_pages_and_files(
    sign_in: Callable[[User], Browser], analyst: User
) -> None:
    client, shown = sign_in(analyst).client, 0
    for chosen in FILTERS:
        for address in ("/", "/crosstab?rows=gender&columns=age"):
            place = join(address, chosen)
            answer = client.get(place)
            assert answer.status_code == 200, place
            shown += hold_safe(list(numbers_on(answer.text)), place)
    for unit in StatisticsUnit:
        for chart in FILES:
            place = f"/statistics.csv?chart={chart}&unit={unit}"
            shown += hold_safe(counts_in_file(client.get(place).text), place)
    assert shown > 50


def numbers_on(page: str) -> Iterator[int]:
    """Every count on a page: in tiles and tables, in the size of a sample, and where the charts read it."""
    soup = BeautifulSoup(page, "html.parser")
    for element in soup.select(HELD_NUMBERS):
        for found in WHOLE_NUMBER.findall(element.get_text(" ", strip=True)):
            yield int(found.replace(",", ""))
        if element.get("data-value"):
            yield int(str(element["data-value"]))
    assert not soup.find_all("script", src=False), "numbers could stand in a script"


def test_every_number_is_true_when_a_clinician_of_the_clinic_asks(
    client: FlaskClient, token_headers: Callable[[User], dict[str, str]], analyst: User, clinic: Clinic
) -> None:
    """Else the tests above could hold of numbers that are small for nobody."""
    headers = token_headers(UserFactory(clinic=analyst.clinic, role=Role.CLINICIAN))
    counts = [one for one in counts_in(client.get("/api/v1/statistics/gender", headers=headers).json) if one]

    assert [one for one in counts if one < 5 or one % 5]
