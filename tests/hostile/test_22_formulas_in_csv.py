"""Line 22: `= + - @ tab` in CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from melanoma_app.errors import ClinicError
from melanoma_app.models import Clinic, Lesion, LesionImage, User
from melanoma_app.models.vocabulary import Role
from melanoma_app.services.import_errors import ErrorFile
from melanoma_app.services.import_tables import open_table
from melanoma_app.services.patient_import import PATIENT_COLUMNS
from melanoma_app.services.record_export import neutralise, write_csv
from tests.browsing import Browser
from tests.factories import LesionFactory, LesionImageFactory, UserFactory
from tests.functional.test_borders import PAGES
from tests.hostile.texts import fill_every_table, spoil
from tests.records import Records

SIGNS: Final = ("=", "+", "-", "@", "\t", "\r")
FILES: Final = {
    "/patients.csv": "family_name",
    "/examinations.csv": "family_name",
    "/worklist.csv": "family_name",
    "/statistics.csv?chart=model": "group",
    "/audit.csv": "person",
}
"""Every CSV file that a page gives out, and a column of it that people fill in."""
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\rx",
    "\n=1",
    "  =1",
    "\xa0=1",
    '"=1',
    "'=1",
    "' \" =1",
    "\u200b=1",
    "\ufeff=1",
    "\x00=1",
    "＝1",
    "﹣1",
    "x;=1",
    "x,@y",
    "x\n =1",
    "x\t'+1",
]
HARMLESS = ["", "Garcia", "O'Brien-Lee", "a=b", "1-2", "Ann + Bob", "x; y", "'", "«Ö»", "-".join("ab")]


def looks_like_a_formula(cell: str) -> bool:
    """A simpler and harsher test than the one the export makes."""
    return bool(re.match(r"[\t\r\n]|[\s\"]*[=+\-@＝＋－＠]", cell))


@pytest.mark.parametrize("text", FORMULAS)
def test_apostrophe_is_put_before_it_when_a_text_could_be_a_formula(text: str) -> None:
    quiet = neutralise(text)

    assert quiet != text
    assert quiet.replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("text", HARMLESS)
def test_text_stays_as_it_is_when_it_is_no_formula(text: str) -> None:
    assert neutralise(text) == text


@given(
    cells=st.lists(
        st.text(alphabet="=+-@＝\t\r\n\x00 '\",;\xa0\ufeffaé1", max_size=12) | st.text(max_size=12),
        min_size=1,
    )
)
@example(cells=FORMULAS)
def test_no_cell_is_a_formula_when_any_spreadsheet_reads_the_file_back(cells: list[str]) -> None:
    file = io.StringIO(newline="")
    count = write_csv(file, ["text"], [{"text": cell} for cell in cells])
    written = file.getvalue()

    assert count == len(cells)
    back = [row for (row,) in list(csv.reader(io.StringIO(written, newline="")))[1:]]
    assert [cell.replace("'", "") for cell in back] == [cell.replace("'", "") for cell in cells]
    for delimiter in ",;\t":
        # A spreadsheet that takes another sign for the border of a cell finds no formula either.
        read = csv.reader(io.StringIO(written, newline=""), delimiter=delimiter)
        assert not [cell for row in read for cell in row if looks_like_a_formula(cell)]


def test_every_file_stands_in_the_table_when_one_is_added() -> None:
    offered = {one.partition(" ")[2] for one in PAGES if one.endswith(".csv")}

    assert {one.partition("?")[0] for one in FILES} == offered


def test_no_cell_of_any_file_is_a_formula_when_every_text_begins_like_one(
    sign_in: Callable[[User], Browser],
    clinic: Clinic,
    user: User,
    ids: dict[str, str],
    records: Records,
    recount: Callable[[], None],
) -> None:
    fill_every_table(user, image_id=records.one(LesionImage).id, lesion_id=records.one(Lesion).id)
    LesionImageFactory(lesion=LesionFactory(patient__clinic=clinic))  # waits on the worklist
    admin = UserFactory(clinic=clinic, role=Role.ADMIN, username="=admin")
    browser = sign_in(admin)
    for sign in SIGNS:
        spoil(
            records,
            kept_usernames=set(),
            write=lambda name, number, sign=sign: f"{sign}1+cmd|{len(name)}r{number}",
        )
        records.execute("UPDATE model_version SET name = :name", name=f"{sign}cmd")
        recount()
        for address, column in FILES.items():
            answer = browser.client.get(address)
            assert answer.status_code == 200, address
            text = answer.get_data(as_text=True).removeprefix("\ufeff")
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
            assert [row[column] for row in rows if "cmd" in row[column]], (address, sign)
            assert not [cell for row in rows for cell in row.values() if looks_like_a_formula(cell)], address


def test_no_cell_is_a_formula_when_an_import_writes_down_what_it_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    rows = [[f"{sign}x{number}", f"{sign}cmd"] for number, sign in enumerate(SIGNS)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["mrn", "family_name", "given_name", "birth_date", "gender", "=odd"]])
        csv.writer(file).writerows([mrn, name, name, name, name, name] for mrn, name in rows)
    table = open_table(path=path, columns=PATIENT_COLUMNS, takes_others=True)
    with ErrorFile(table) as errors:
        for row in table.rows():
            errors.add(row, ClinicError("=refused"))

    with errors.path.open(newline="", encoding="utf-8-sig") as file:
        cells = [cell for row in csv.reader(file) for cell in row]

    assert len([cell for cell in cells if "cmd" in cell]) == 5 * len(SIGNS)
    assert not [cell for cell in cells if looks_like_a_formula(cell)]
