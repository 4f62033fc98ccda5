"""Erasure: all that is on record of a patient goes, nothing of anybody else, and the counts stay right."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import (
    AuditEvent,
    Clinic,
    FileToDelete,
    LesionImage,
    OutcomeCount,
    Patient,
    PatientErasure,
    PatientMerge,
)
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services import erasure as erasure_module
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import verify_chains
from melanoma_app.services.count_check import verify_statistics
from melanoma_app.services.erasure import erase_patient, read_erasure_outlook
from melanoma_app.services.file_removal import ORPHAN_AGE, remove_noted_files, sweep_storage
from melanoma_app.storage import LocalImageStore
from tests.factories import LesionFactory, PatientFactory, PatientMergeFactory, UserFactory, actor_of
from tests.full_records import FAMILY_NAME, MRN, count_rows, fill_record, tables_below_patient
from tests.records import Records, end_app_transaction

pytestmark = pytest.mark.usefixtures("context")
REASON = "Asked for by letter of 3 May, Art. 17(1)(b) GDPR"


@pytest.fixture
def admin(clinic: Clinic) -> Actor:
    return actor_of(UserFactory(clinic=clinic, role=Role.ADMIN))


def erase(patient: Patient, admin: Actor, **changes: object) -> PatientErasure:
    given = {"mrn": patient.mrn, "reason": REASON, "law_lets_it_go": True} | changes
    end_app_transaction()
    return erase_patient(public_id=patient.public_id, actor=admin, **given)  # type: ignore[arg-type]


def test_nothing_is_left_of_a_patient_when_erased(
    actor: Actor, admin: Actor, clinic: Clinic, records: Records, recount: Callable[[], None]
) -> None:
    patient = fill_record(actor)
    before = count_rows()
    bystander = LesionFactory(patient__clinic=clinic).patient
    recount()  # what the factories wrote
    assert {name for name in tables_below_patient() if not before.get(name)} == set()

    erased = erase(patient, admin)

    left = count_rows()
    # The other side of the merge that was undone, and a bystander with a lesion.
    assert (left.pop("patient"), left.pop("lesion")) == (2, 1)
    assert not any(left.values()), left
    assert records.count(Patient, Patient.id == bystander.id) == 1
    assert records.files() == []
    assert records.count(FileToDelete) == 0
    with db.engine.connect() as connection:
        assert not connection.execute(select(OutcomeCount.slice)).all()
    assert list(verify_statistics()) == []
    assert list(verify_chains()) == []
    kept = records.one(PatientErasure)
    assert (kept.public_id, kept.lesions, kept.lesion_images) == (erased.public_id, 1, 1)
    entry = records.one(AuditEvent, AuditEvent.action == AuditAction.PATIENT_ERASED)
    assert entry.patient_public_id == patient.public_id
    assert entry.details == {"lesions": 1, "images": 1, "before_the_period_ended": True}
    told = json.dumps([one.details for one in records.all(AuditEvent)])
    assert not [word for word in (FAMILY_NAME, MRN, "1962") if word in told]


# A server's files are its own matter: docs/privacy.md tells of the binary log.
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_name_is_no_longer_in_the_database_files_when_erased(
    actor: Actor, admin: Actor, database_url: str
) -> None:
    path = Path(database_url.removeprefix("sqlite:///"))
    patient = fill_record(actor)

    def files_with_the_name() -> list[str]:
        end_app_transaction()
        db.engine.dispose()
        return [
            one.name
            for one in path.parent.glob(f"{path.name}*")
            if FAMILY_NAME.encode() in one.read_bytes() or MRN.encode() in one.read_bytes()
        ]

    assert files_with_the_name()

    erase(patient, admin)

    assert files_with_the_name() == []


class TestRetention:
    @pytest.fixture
    def patient(self, actor: Actor) -> Patient:
        return fill_record(actor)

    @pytest.mark.parametrize(("years", "expected"), [(None, 10), (3, 3)])
    def test_record_stays_when_it_has_to_be_kept(
        self, patient: Patient, admin: Actor, records: Records, years: int | None, expected: int
    ) -> None:
        records.execute("UPDATE clinic SET retention_years = :years", years=years)

        with pytest.raises(ConflictError, match=f"kept for {expected} years after its last entry"):
            erase(patient, admin, law_lets_it_go=False)

        db.session.rollback()
        assert records.count(LesionImage) == 1
        assert len(records.files()) == 2

    def test_record_goes_when_the_period_is_over(
        self, patient: Patient, admin: Actor, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outlook = read_erasure_outlook(public_id=patient.public_id, actor=admin)
        assert outlook.free_from is not None
        day = datetime(outlook.free_from.year, outlook.free_from.month, outlook.free_from.day, tzinfo=UTC)
        for moment, is_free in ((day - timedelta(hours=1), False), (day + timedelta(hours=1), True)):
            monkeypatch.setattr(erasure_module, "utc_now", lambda moment=moment: moment)
            assert read_erasure_outlook(public_id=patient.public_id, actor=admin).is_free is is_free

        erase(patient, admin, law_lets_it_go=False)

        assert records.count(LesionImage) == 0

    def test_record_goes_at_any_time_when_nobody_was_examined(
        self, clinic: Clinic, admin: Actor, records: Records
    ) -> None:
        erase(LesionFactory(patient__clinic=clinic).patient, admin, law_lets_it_go=False)

        assert records.count(PatientErasure) == 1


class TestRequest:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"mrn": "ANOTHER"}, "mrn"),
            ({"reason": " "}, "reason"),
            ({"reason": "x" * 501}, "reason"),
            ({"reason": "Ana Alder asked for it"}, "reason"),
            ({"reason": "Record mrn-1 is wrong"}, "reason"),
        ],
    )
    def test_nothing_is_erased_when_a_value_cannot_be_right(
        self, clinic: Clinic, admin: Actor, records: Records, changes: dict[str, str], field: str
    ) -> None:
        patient = PatientFactory(clinic=clinic, mrn="MRN-1", family_name="Alder", given_name="Ana")

        with pytest.raises(InvalidInputError) as refusal:
            erase(patient, admin, **changes)

        assert list(refusal.value.fields) == [field]
        db.session.rollback()
        assert records.count(Patient) == 1

    def test_mrn_may_be_typed_in_small_letters_when_it_is_the_right_one(
        self, clinic: Clinic, admin: Actor, records: Records
    ) -> None:
        erase(PatientFactory(clinic=clinic, mrn="MRN-1"), admin, mrn=" mrn-1")

        assert records.count(Patient) == 0

    def test_record_is_not_there_when_it_is_another_clinics(self, clinic: Clinic, admin: Actor) -> None:
        with pytest.raises(NotFoundError):
            erase(PatientFactory(), admin)

    def test_merge_has_to_be_undone_when_another_record_was_merged_in(
        self, clinic: Clinic, admin: Actor, records: Records
    ) -> None:
        merge = PatientMergeFactory(kept__clinic=clinic)

        for one in (merge.kept, merge.merged):
            with pytest.raises(ConflictError, match="merge"):
                erase(one, admin)
            db.session.rollback()

        assert records.count(PatientMerge) == 1


class TestFiles:
    def test_next_start_finishes_when_the_removal_was_cut_short(
        self, actor: Actor, admin: Actor, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def crash(**values: object) -> None:
            raise SystemExit("killed between commit and removal")

        patient = fill_record(actor)
        monkeypatch.setattr(erasure_module, "remove_noted_files", crash)
        with pytest.raises(SystemExit):
            erase(patient, admin)
        assert records.count(PatientErasure) == 1
        assert len(records.files()) == records.count(FileToDelete) == 2

        end_app_transaction()
        assert remove_noted_files(store=image_storage.store) == (2, 0)

        assert records.files() == []
        assert records.count(FileToDelete) == 0

    def test_note_stays_when_a_file_cannot_be_removed(
        self, actor: Actor, admin: Actor, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(store: LocalImageStore, *, key: str) -> None:
            raise UnavailableError("read-only")

        patient = fill_record(actor)
        with monkeypatch.context() as patched:
            patched.setattr(LocalImageStore, "delete", fail)
            erase(patient, admin)

        assert records.count(Patient, Patient.mrn == MRN) == 0
        assert records.count(FileToDelete) == 2
        end_app_transaction()
        assert sweep_storage(store=image_storage.store).removed == 2

    def test_file_stays_when_a_photograph_refers_to_it(
        self, actor: Actor, admin: Actor, records: Records
    ) -> None:
        fill_record(actor)
        key = records.one(LesionImage).storage_key
        db.session.add(FileToDelete(storage_key=key))
        db.session.commit()

        assert remove_noted_files(store=image_storage.store) == (0, 0)

        assert records.stored(key).is_file()
        assert records.count(FileToDelete) == 0

    def test_only_old_files_without_a_record_are_orphans_when_swept(
        self, actor: Actor, records: Records, age_file: Callable[[Path], None]
    ) -> None:
        fill_record(actor)
        kept = set(records.files())
        old, young = f"{'a' * 64}-old.jpg", f"{'a' * 64}-young.jpg"
        for key in (old, young):
            image_storage.store.save(b"x", key=key)
        unfinished = records.stored(old).with_name(".incoming-x")
        unfinished.write_bytes(b"x")
        for path in (*kept, records.stored(old), unfinished):
            age_file(path)

        end_app_transaction()
        named = sweep_storage(store=image_storage.store)
        assert named.orphans == [old]
        assert records.stored(old).is_file()
        assert named.unfinished == 1

        end_app_transaction()
        sweep_storage(store=image_storage.store, is_deleting=True)
        assert set(records.files()) == kept | {records.stored(young)}

    @pytest.fixture
    def age_file(self) -> Callable[[Path], None]:
        moment = (datetime.now(UTC) - ORPHAN_AGE - timedelta(minutes=1)).timestamp()
        return lambda path: os.utime(path, (moment, moment))
