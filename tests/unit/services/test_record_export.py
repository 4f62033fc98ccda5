from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from melanoma_app.models import AuditEvent, Clinic, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel, ReviewPlan
from melanoma_app.services import record_export
from melanoma_app.services.actor import Actor
from melanoma_app.services.record_export import (
    ExportedList,
    export_examinations,
    export_patients,
    export_worklist,
    neutralise,
    write_csv,
)
from melanoma_app.services.statistics_filter import StatisticsFilter
from tests.factories import LesionFactory, PatientFactory, PredictionFactory, ReviewFactory, actor_of
from tests.records import Records
from tests.worklists import list_what_waits

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


def rows_of(exported: ExportedList) -> list[dict[str, str]]:
    with exported.content as file:
        content = file.read()
    assert len(content) == exported.size_bytes
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


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


def test_numbers_dates_and_answers_are_plain_when_written() -> None:
    file = io.StringIO(newline="")
    columns = ["probability", "is_overdue", "not_asked", "label", "text"]
    write_csv(
        file,
        columns,
        [{"probability": 0.1 + 0.2, "is_overdue": False, "label": OutcomeLabel.BENIGN, "text": 'say "a", b'}],
    )

    assert file.getvalue().splitlines()[1] == '0.30000000000000004,"false","","benign","say ""a"", b"'


@pytest.mark.usefixtures("context")
class TestLists:
    @pytest.fixture
    def several_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lists are read in more than one go."""
        monkeypatch.setattr(record_export, "ROWS_AT_ONCE", 2)

    @pytest.mark.usefixtures("several_reads")
    def test_every_patient_has_a_row_when_the_list_is_exported(
        self, actor: Actor, clinic: Clinic, records: Records
    ) -> None:
        names = {PatientFactory(clinic=clinic, family_name=f"=Name{number}").mrn for number in range(5)}
        PatientFactory()  # in another clinic

        rows = rows_of(export_patients(search="", actor=actor))

        assert len(rows) == 5
        assert {row["mrn"] for row in rows} == names
        assert all(row["family_name"].startswith("'=Name") for row in rows)
        assert rows[0]["consent_to_ai_analysis"] == "true"
        assert rows[0]["consent_to_care"] == ""

    @pytest.mark.usefixtures("several_reads")
    def test_examinations_are_those_of_the_filters_when_exported(
        self, actor: Actor, clinic: Clinic, recount: Callable[[], None]
    ) -> None:
        lesion = LesionFactory(patient__clinic=clinic)
        wanted = [
            str(PredictionFactory(lesion_image__lesion=lesion, label=OutcomeLabel.MALIGNANT).public_id)
            for _ in range(3)
        ]
        PredictionFactory(lesion_image__lesion=lesion)
        recount()

        chosen = StatisticsFilter(outcome=OutcomeLabel.MALIGNANT)
        rows = rows_of(export_examinations(chosen=chosen, actor=actor))

        assert sorted(row["prediction_id"] for row in rows) == sorted(wanted)
        assert {row["malignancy_probability"] for row in rows} == {"0.83"}

    def test_sections_follow_each_other_when_the_worklist_is_exported(
        self, actor: Actor, clinic: Clinic, records: Records
    ) -> None:
        lesion = LesionFactory(patient__clinic=clinic)
        PredictionFactory(lesion_image__lesion=lesion)
        ReviewFactory(prediction__lesion_image__lesion=lesion, plan=ReviewPlan.BIOPSY)
        list_what_waits(clinic.id)

        rows = rows_of(export_worklist(outcome=None, actor=actor))

        assert [row["section"] for row in rows] == ["unsigned", "histology_pending"]
        assert [row["is_overdue"] for row in rows] == ["", "false"]

    def test_export_is_audited_with_list_and_size_when_nothing_was_sent_yet(
        self, actor: Actor, clinic: Clinic, records: Records
    ) -> None:
        patients = [PatientFactory(clinic=clinic) for _ in range(2)]

        export_patients(search="", actor=actor)

        entry = records.one(AuditEvent, AuditEvent.action == AuditAction.RECORDS_EXPORTED)
        assert entry.details == {"list": "patients", "rows": 2}
        shown = records.one(AuditEvent, AuditEvent.action == AuditAction.PATIENTS_LISTED)
        assert sorted(shown.details["patients"]) == sorted(str(one.public_id) for one in patients)

    def test_file_has_a_head_and_no_row_when_the_records_are_another_clinics(
        self, outsider: User, clinic: Clinic
    ) -> None:
        ReviewFactory(
            prediction__lesion_image__lesion=LesionFactory(patient__clinic=clinic), plan=ReviewPlan.BIOPSY
        )
        actor = actor_of(outsider)

        exported = [
            export_patients(search="", actor=actor),
            export_examinations(chosen=StatisticsFilter(), actor=actor),
            export_worklist(outcome=None, actor=actor),
        ]

        assert [rows_of(one) for one in exported] == [[], [], []]
