from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest

from melanoma_app.models import AuditEvent, Clinic, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel, ReviewPlan
from melanoma_app.services import record_export
from melanoma_app.services.actor import Actor
from melanoma_app.services.record_export import (
    ExportedList,
    export_examinations,
    export_patients,
    export_worklist,
    write_csv,
)
from melanoma_app.services.statistics_filter import StatisticsFilter
from tests.factories import LesionFactory, PatientFactory, PredictionFactory, ReviewFactory, actor_of
from tests.records import Records
from tests.worklists import list_what_waits


def rows_of(exported: ExportedList) -> list[dict[str, str]]:
    with exported.content as file:
        content = file.read()
    assert len(content) == exported.size_bytes
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


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
