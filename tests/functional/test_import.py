"""`flask import`: what comes in is as if it had come by hand, what cannot is listed, and twice is once."""

from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from melanoma_app.errors import UnavailableError
from melanoma_app.models import (
    AuditEvent,
    Clinic,
    ConsentDecision,
    Lesion,
    LesionImage,
    Patient,
    PatientSearchKey,
    Prediction,
    User,
)
from melanoma_app.models.vocabulary import AnatomSiteGeneral, AuditAction, ConsentPurpose, Gender, Role
from melanoma_app.services import image_import, patient_import
from melanoma_app.services.actor import Actor
from melanoma_app.services.import_tables import open_table
from melanoma_app.services.patient_import import PATIENT_COLUMNS
from tests.examining import FILES_AN_IMAGE, take_photograph
from tests.factories import LesionFactory, PatientFactory, UserFactory
from tests.photographs import draw_blurred_photograph, draw_photograph
from tests.records import Records

PEOPLE = """mrn,family_name,given_name,birth_date,gender,fitzpatrick_skin_type,consent_to_care,consent_to_ai_analysis
A-1,García,Ana,1962-04-27,female,II,true,false
a-2,O'Neil,Bo,1970-01-01,MALE,,,TRUE
"""
Run = Callable[..., Result]


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"MODEL_NAME": "custom_cnn"}


@pytest.fixture
def run(app: Flask, user: User) -> Run:
    """Import as the clinician."""
    runner = app.test_cli_runner()
    return lambda *arguments: runner.invoke(
        args=["import", *map(str, arguments), "--by", user.username], catch_exceptions=False
    )


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Two patients in a file."""
    return write(tmp_path / "people.csv", PEOPLE)


def write(path: Path, text: str, encoding: str = "utf-8-sig") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def errors_beside(path: Path) -> list[dict[str, str]]:
    errors = path.with_suffix(".errors.csv")
    if not errors.exists():
        return []
    with errors.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def refused(result: Result) -> str:
    """A refusal's one line."""
    assert result.exit_code not in (0, None)
    lines = [line for line in result.output.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1, result.output
    return lines[0]


class TestPatients:
    def test_patients_are_as_registered_by_hand_when_imported(
        self, run: Run, people: Path, records: Records, clinic: Clinic, user: User
    ) -> None:
        result = run("patients", people)

        assert (result.exit_code, result.output) == (
            0,
            "2 rows: 2 registered, 0 already there, 0 with errors.\n",
        )
        ana, bo = records.all(Patient, Patient.clinic_id == clinic.id)
        assert (ana.mrn, ana.family_name, ana.gender, ana.search_name) == (
            "A-1",
            "García",
            Gender.FEMALE,
            "garcia ana",
        )
        assert (ana.consent_to_care, ana.consent_to_ai_analysis, ana.consent_to_research) == (
            True,
            False,
            None,
        )
        assert (bo.mrn, bo.fitzpatrick_skin_type, bo.consent_to_ai_analysis) == ("A-2", None, True)
        assert records.count(PatientSearchKey, PatientSearchKey.key == "garcia") == 1
        assert {(one.patient_id, one.purpose, one.is_given) for one in records.all(ConsentDecision)} == {
            (ana.id, ConsentPurpose.CARE, True),
            (ana.id, ConsentPurpose.AI_ANALYSIS, False),
            (bo.id, ConsentPurpose.AI_ANALYSIS, True),
        }
        events = records.all(AuditEvent, AuditEvent.action == AuditAction.PATIENT_REGISTERED)
        assert [(one.patient_public_id, one.actor_name, one.origin) for one in events] == [
            (ana.public_id, user.username, "cli"),
            (bo.public_id, user.username, "cli"),
        ]
        assert errors_beside(people) == []

    def test_nothing_is_added_when_imported_again(self, run: Run, people: Path, records: Records) -> None:
        run("patients", people)

        result = run("patients", people)

        assert "0 registered, 2 already there" in result.output
        assert records.count(Patient) == records.count(AuditEvent) == 2

    def test_import_ends_the_same_when_killed_and_run_again(
        self, run: Run, tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path / "many.csv", many_people(7))
        monkeypatch.setattr(patient_import, "ROWS_A_COMMIT", 3)
        enter = patient_import.enter_patient

        def be_killed(*, values: dict[str, Any], **others: Any) -> Patient:
            if values["mrn"] == "M-5":
                raise KeyboardInterrupt
            return enter(values=values, **others)

        monkeypatch.setattr(patient_import, "enter_patient", be_killed)
        assert run("patients", path).exit_code != 0
        assert [one.mrn for one in records.all(Patient)] == ["M-1", "M-2", "M-3"]

        monkeypatch.setattr(patient_import, "enter_patient", enter)
        result = run("patients", path)

        assert "4 registered, 3 already there, 0 with errors" in result.output
        assert [one.mrn for one in records.all(Patient)] == [f"M-{number}" for number in range(1, 8)]

    def test_bad_rows_are_listed_and_the_rest_comes_in_when_some_are_bad(
        self, run: Run, tmp_path: Path, records: Records
    ) -> None:
        path = write(
            tmp_path / "mixed.csv",
            "mrn,family_name,given_name,birth_date,gender,consent_to_care\n"
            "G-1,Good,Ana,1962-04-27,female,\n"
            "?,=cmd|'/c calc'!A1,Bo,3/4/1970,man,yes\n"
            "\n"
            "G-2,Short,Row\n"
            "G-3,Born,Late,2999-01-01,other,\n",
        )

        result = run("patients", path)

        assert "1 registered, 0 already there, 3 with errors" in result.output
        assert str(path.with_suffix(".errors.csv")) in refused(result)
        assert not any(word in result.output for word in ("Good", "cmd", "Bo", "1970", "G-"))
        assert [one.mrn for one in records.all(Patient)] == ["G-1"]
        listed = errors_beside(path)
        assert [(one["row"], one["field"]) for one in listed] == [
            ("3", "birth_date; gender; consent_to_care"),
            ("5", ""),
            ("6", "birth_date"),
        ]
        assert listed[0]["family_name"].startswith("'=cmd")
        assert "2026-03-31" in listed[0]["message"]

    @pytest.mark.parametrize(
        ("content", "word"),
        [
            pytest.param(PEOPLE.replace("gender", "sex").encode(), "gender", id="a column is missing"),
            pytest.param(
                PEOPLE.replace("consent_to_care", "care").encode(), "care", id="a column is unknown"
            ),
            pytest.param(PEOPLE.replace("gender", "mrn").encode(), "mrn", id="a column stands twice"),
            pytest.param(PEOPLE.replace(",", ";").encode(), "semicolons", id="cells end at semicolons"),
            pytest.param(PEOPLE.encode("latin-1"), "UTF-8", id="text is Latin-1"),
            pytest.param(PEOPLE.encode("utf-16"), "UTF-8", id="text is UTF-16"),
            pytest.param(b"", "empty", id="it is empty"),
            pytest.param(PEOPLE.splitlines()[0].encode(), "no rows", id="it has no rows"),
            pytest.param((PEOPLE + 'A-3,"Open').encode(), "quote", id="a quote stays open"),
        ],
    )
    def test_nothing_is_written_when_the_file_cannot_be_right(
        self, run: Run, tmp_path: Path, records: Records, content: bytes, word: str
    ) -> None:
        path = tmp_path / "people.csv"
        path.write_bytes(content)

        assert word in refused(run("patients", path))
        assert records.count(Patient) == 0
        assert list(tmp_path.glob("*.errors.csv")) == []

    def test_record_is_unchanged_when_the_file_says_otherwise(
        self, run: Run, tmp_path: Path, clinic: Clinic, records: Records
    ) -> None:
        PatientFactory(clinic=clinic, mrn="A-1", family_name="García", given_name="Ana", gender=Gender.MALE)
        twice = PEOPLE + "A-2,O'Neil,Bob,1970-01-01,male,,,\nA-2,O'Neil,Bo,1970-01-01,male,,,\n"
        path = write(tmp_path / "people.csv", twice)

        result = run("patients", path)

        assert "1 registered, 1 already there, 2 with errors" in result.output
        assert [(one["row"], one["field"]) for one in errors_beside(path)] == [
            ("2", "gender; fitzpatrick_skin_type; consent_to_care; consent_to_ai_analysis"),
            ("4", "given_name"),
        ]
        assert [(one.given_name, one.gender) for one in records.all(Patient)] == [
            ("Ana", Gender.MALE),
            ("Bo", Gender.MALE),
        ]

    def test_same_is_said_and_nothing_written_when_run_dry(
        self, run: Run, tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patient_import, "ROWS_A_COMMIT", 2)
        rows = "A-2,O'Neil,Bob,1970-01-01,male,,,\nA-1,García,Ana,1962-04-27,female,II,true,\n"
        path = write(tmp_path / "people.csv", PEOPLE + rows)

        dry = run("patients", path, "--dry-run")
        listed = errors_beside(path)

        assert "2 would be registered, 1 already there, 1 with errors" in dry.output
        assert records.count(Patient) == records.count(AuditEvent) == 0
        assert "2 registered, 1 already there, 1 with errors" in run("patients", path).output
        assert errors_beside(path) == listed != []

    def test_import_is_refused_when_the_user_may_not_write(
        self, app: Flask, people: Path, records: Records, clinic: Clinic
    ) -> None:
        analyst = UserFactory(clinic=clinic, role=Role.ANALYST)

        result = app.test_cli_runner().invoke(
            args=["import", "patients", str(people), "--by", analyst.username]
        )

        assert "may register patients" in refused(result)
        assert records.count(Patient) == 0

    @pytest.mark.parametrize("database_kind", ["sqlite"])
    def test_memory_stays_small_when_the_file_is_large(self, app: Flask, tmp_path: Path) -> None:
        path = write(tmp_path / "many.csv", many_people(60_000))
        tracemalloc.start()

        count = sum(1 for _ in open_table(path=path, columns=PATIENT_COLUMNS).rows())

        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 60_000
        assert peak < 2_000_000 < path.stat().st_size


class TestImages:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder of photographs."""
        folder = tmp_path / "photographs"
        folder.mkdir()
        for number in range(1, 5):
            (folder / f"ISIC_{number}.jpg").write_bytes(draw_photograph(seed=number))
        return folder

    @pytest.fixture
    def patient(self, clinic: Clinic) -> Patient:
        """A patient who lets a model look."""
        return PatientFactory(clinic=clinic, mrn="P-1")

    @pytest.fixture
    def take_in(self, run: Run, tmp_path: Path, folder: Path, patient: Patient) -> Callable[..., Result]:
        """Import a manifest of rows that begin with image, patient and lesion."""
        head = "image_name,patient_id,lesion_id,anatom_site_general_challenge,captured_on,image_type,target"

        def import_rows(rows: Iterable[str], *options: str) -> Result:
            whole = [
                row + ",lower extremity,2024-03-05,,0"[: None if row.count(",") == 2 else 0] for row in rows
            ]
            path = write(tmp_path / "manifest.csv", "\n".join([head, *whole]) + "\n")
            return run("images", folder, "--manifest", path, *options)

        return import_rows

    def test_photograph_is_as_sent_by_hand_when_imported(
        self,
        app: Flask,
        take_in: Callable[..., Result],
        records: Records,
        actor: Actor,
        patient: Patient,
        clinic: Clinic,
    ) -> None:
        with app.app_context():
            by_hand = take_photograph(
                LesionFactory(patient__clinic=clinic).public_id, actor, upload=draw_photograph(seed=1)
            )
            assert by_hand.prediction
        runner = app.test_cli_runner()
        runner.invoke(args=["statistics", "rebuild"])  # factories count nothing

        result = take_in(["ISIC_1,p-1,L1,Lower Extremity,2024-03-05,,0"])

        assert (result.exit_code, result.output) == (
            0,
            "1 row: 1 taken in (0 without consent to a model's result, 0 against the quality gate), "
            "0 already there, 0 with errors. Columns not read: target.\n",
        )
        lesion = records.one(Lesion, Lesion.patient_id == patient.id)
        image = records.one(LesionImage, LesionImage.lesion_id == lesion.id)
        prediction = records.one(Prediction, Prediction.lesion_image_id == image.id)
        assert (lesion.number, lesion.description) == (1, "Imported lesion L1")
        assert lesion.anatom_site_general is AnatomSiteGeneral.LOWER_EXTREMITY
        for name in (
            "upload_sha256",
            "sha256",
            "width_px",
            "image_type",
            "quality",
            "quality_override_reason",
        ):
            assert getattr(image, name) == getattr(by_hand.image, name)
        assert image.captured_on.isoformat() == "2024-03-05"
        assert prediction.malignancy_probability == pytest.approx(
            by_hand.prediction.malignancy_probability, abs=1e-6
        )
        assert records.stored(image.thumbnail_key or "").exists()
        actions = [
            one.action for one in records.all(AuditEvent, AuditEvent.patient_public_id == patient.public_id)
        ]
        assert actions == [AuditAction.LESION_ADDED, AuditAction.IMAGE_ADDED]
        assert runner.invoke(args=["audit", "verify"]).exit_code == 0
        checked = runner.invoke(args=["statistics", "verify"])
        assert checked.exit_code == 0, checked.output

    def test_lesions_are_told_apart_by_their_names_when_photographs_have_them(
        self, take_in: Callable[..., Result], records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(image_import, "ROWS_A_COMMIT", 2)

        take_in(["ISIC_1,P-1,L1", "ISIC_2,P-1,", "ISIC_3,P-1,", "ISIC_4.jpg,P-1,L1", "ISIC_4,P-1,L2"])

        names = [one.upload_sha256 for one in records.all(LesionImage)]
        assert len(set(names)) == 4
        by_lesion = [
            (one.number, one.description, records.count(LesionImage, LesionImage.lesion_id == one.id))
            for one in records.all(Lesion)
        ]
        assert by_lesion == [
            (1, "Imported lesion L1", 2),
            (2, "Imported lesion", 1),
            (3, "Imported lesion", 1),
            (4, "Imported lesion L2", 1),
        ]

    def test_nothing_is_added_when_imported_again(
        self, take_in: Callable[..., Result], records: Records
    ) -> None:
        rows = ["ISIC_1,P-1,L1", "ISIC_2,P-1,", "ISIC_2,P-1,"]
        assert "2 taken in" in take_in(rows).output
        before = records.files()

        result = take_in([*rows, "ISIC_3,P-1,L1"])

        assert "1 taken in" in result.output
        assert "3 already there, 0 with errors" in result.output
        assert records.count(Lesion) == 2
        assert records.count(LesionImage) * FILES_AN_IMAGE == len(records.files()) == len(before) + 2

    def test_no_model_looks_when_the_patient_has_not_agreed(
        self, take_in: Callable[..., Result], records: Records, clinic: Clinic
    ) -> None:
        PatientFactory(clinic=clinic, mrn="P-2", consent_to_ai_analysis=None)

        result = take_in(["ISIC_1,P-2,L1"])

        assert "1 taken in (1 without consent" in result.output
        assert records.one(LesionImage).quality is None
        assert records.count(Prediction) == 0

    def test_findings_are_kept_when_the_quality_gate_stops_a_photograph(
        self, take_in: Callable[..., Result], folder: Path, records: Records
    ) -> None:
        (folder / "blurred.jpeg").write_bytes(draw_blurred_photograph())

        result = take_in(["blurred,P-1,L1"])

        assert "1 against the quality gate" in result.output
        image = records.one(LesionImage)
        assert image.quality_override_reason == "Imported"
        assert image.quality
        assert image.quality["findings"] == ["blurred"]

    def test_bad_rows_are_listed_and_the_rest_comes_in_when_some_are_bad(
        self,
        take_in: Callable[..., Result],
        folder: Path,
        tmp_path: Path,
        records: Records,
        clinic: Clinic,
        outsider: User,
    ) -> None:
        PatientFactory(clinic=clinic, mrn="NO-CARE", consent_to_care=False)
        PatientFactory(clinic=outsider.clinic, mrn="ELSEWHERE")
        (tmp_path / "secret.jpg").write_bytes(draw_photograph())
        (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
        (folder / "cut.jpg").write_bytes(draw_photograph()[:9000])
        (folder / "note.jpg").write_bytes(b"no photograph")
        (folder / "folder.jpg").mkdir()
        bad = {
            "ISIC_1,X-9,L1": "patient_id",
            "ISIC_1,ELSEWHERE,L1": "patient_id",
            "ISIC_1,NO-CARE,L1": "",
            "absent,P-1,L1": "image_name",
            "../secret,P-1,L1": "image_name",
            f"{tmp_path}/secret,P-1,L1": "image_name",
            "link,P-1,L1": "image_name",
            "folder,P-1,L1": "image_name",
            "cut,P-1,L1": "image_name",
            "note,P-1,L1": "",
            "ISIC_1,P-1,L1,torso,2024-03-05,,0": "anatom_site_general_challenge",
            "ISIC_1,P-1,L1,lower extremity,7,,0": "captured_on",
            "ISIC_1,P-1,L1,lower extremity,1899-01-01,,0": "captured_on",
            "ISIC_1,P-1,L1,lower extremity,2024-03-05,x-ray,0": "image_type",
            "ISIC_1,P-1,L9,head/neck,2024-03-05,,0": "anatom_site_general_challenge",
        }

        result = take_in(["ISIC_2,P-1,L9", *bad, "ISIC_3,P-1,L9"])

        assert "2 taken in" in result.output
        refused(result)
        listed = errors_beside(tmp_path / "manifest.csv")
        found = {int(one["row"]): one["field"] for one in listed}
        assert found == dict(enumerate(bad.values(), start=3))
        assert "Import the patient first" in next(one["message"] for one in listed if one["row"] == "3")
        assert records.count(LesionImage) * FILES_AN_IMAGE == len(records.files()) == 4

    def test_neither_rows_nor_files_are_left_when_a_batch_fails(
        self, take_in: Callable[..., Result], records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(image_import, "ROWS_A_COMMIT", 2)
        recount = image_import.recount_patients
        calls = []

        def fail_at_the_second(**values: Any) -> None:
            calls.append(values)
            if len(calls) == 2:
                raise UnavailableError("The disk is gone.")
            recount(**values)

        monkeypatch.setattr(image_import, "recount_patients", fail_at_the_second)
        rows = [f"ISIC_{number},P-1,L{number}" for number in range(1, 5)]
        assert "disk is gone" in refused(take_in(rows))
        assert records.count(LesionImage) * FILES_AN_IMAGE == len(records.files()) == 4

        result = take_in(rows)

        assert "2 taken in" in result.output
        assert records.count(LesionImage) * FILES_AN_IMAGE == len(records.files()) == 8

    def test_same_is_said_and_nothing_written_when_run_dry(
        self,
        take_in: Callable[..., Result],
        folder: Path,
        tmp_path: Path,
        records: Records,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(image_import, "ROWS_A_COMMIT", 2)
        (folder / "cut.jpg").write_bytes(draw_photograph()[:9000])
        rows = ["ISIC_1,P-1,L1", "cut,P-1,L1", "cut,P-1,L1", "ISIC_1,P-1,L1", "ISIC_2,P-1,", "ISIC_2,P-1,"]
        rows += ["ISIC_3,P-1,L1,head/neck,2024-03-05,,0", "ISIC_4,X-1,"]

        dry = take_in(rows, "--dry-run")
        listed = errors_beside(tmp_path / "manifest.csv")

        assert "2 would be taken in" in dry.output
        assert "2 already there, 4 with errors" in dry.output
        assert records.count(Lesion) == records.count(AuditEvent) == len(records.files()) == 0
        real = take_in(rows).output
        assert "2 taken in" in real
        assert "2 already there, 4 with errors" in real
        assert errors_beside(tmp_path / "manifest.csv") == listed

    def test_default_day_is_taken_when_the_row_counts_days(
        self, take_in: Callable[..., Result], records: Records
    ) -> None:
        take_in(["ISIC_1,P-1,L1,palms/soles,12,,0"], "--captured-on", "2020-02-29")

        assert records.one(LesionImage).captured_on.isoformat() == "2020-02-29"


def many_people(count: int) -> str:
    """A file of patients M-1, M-2 and so on."""
    rows = (f"M-{number},Many,Ana,1962-04-27,female" for number in range(1, count + 1))
    return "\n".join(["mrn,family_name,given_name,birth_date,gender", *rows]) + "\n"
