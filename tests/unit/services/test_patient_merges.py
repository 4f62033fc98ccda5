from __future__ import annotations

import uuid

import pytest

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.models import AuditEvent, Clinic, Lesion, Patient, PatientMerge, User
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.overview import count_tiles
from melanoma_app.services.patient_merges import find_merge_of, merge_patients, revert_merge
from melanoma_app.services.patient_search import find_similar_patients, search_patients
from melanoma_app.services.patients import (
    MergedPatientError,
    PatientDetails,
    edit_patient,
    find_patient,
    lock_patient,
    register_patient,
)
from tests.factories import LesionFactory, PatientFactory, PatientMergeFactory, actor_of
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def kept(clinic: Clinic) -> Patient:
    """A patient with the lesions 1 and 2."""
    patient = PatientFactory(clinic=clinic)
    for number in (1, 2):
        LesionFactory(patient=patient, number=number)
    return patient


@pytest.fixture
def merged(clinic: Clinic) -> Patient:
    """The same person once more, with the lesions 1 and 3."""
    patient = PatientFactory(clinic=clinic)
    for number in (1, 3):
        LesionFactory(patient=patient, number=number)
    return patient


def merge(kept: Patient, merged: Patient, actor: Actor, reason: str = "Registered twice") -> PatientMerge:
    return merge_patients(
        kept_public_id=kept.public_id, merged_public_id=merged.public_id, reason=reason, actor=actor
    )


def numbers(records: Records) -> dict[uuid.UUID, tuple[int, int]]:
    """Every lesion's patient and number."""
    return {one.public_id: (one.patient_id, one.number) for one in records.all(Lesion)}


class TestMerge:
    def test_lesions_get_the_next_numbers_when_merged(
        self, actor: Actor, kept: Patient, merged: Patient, records: Records
    ) -> None:
        merge(kept, merged, actor)

        assert sorted(numbers(records).values()) == [(kept.id, number) for number in (1, 2, 3, 4)]

    def test_merged_record_is_in_no_list_when_merged(
        self, actor: Actor, kept: Patient, merged: Patient
    ) -> None:
        merge(kept, merged, actor)

        assert [one.id for one in search_patients(search="", actor=actor).items] == [kept.id]
        similar = find_similar_patients(
            mrn=merged.mrn, family_name="", given_name="", birth_date=None, actor=actor
        )
        assert [one.id for one in similar] == [kept.id]
        assert count_tiles(actor=actor).patients == 1

    def test_merged_record_takes_nothing_new_when_written_to(
        self, actor: Actor, kept: Patient, merged: Patient
    ) -> None:
        merge(kept, merged, actor)

        for touch in (find_patient, lock_patient):
            with pytest.raises(MergedPatientError) as refusal:
                touch(public_id=merged.public_id, actor=actor)
            assert refusal.value.kept_public_id == kept.public_id

    def test_merged_records_mrn_stays_taken_when_merged(
        self, actor: Actor, kept: Patient, merged: Patient
    ) -> None:
        merge(kept, merged, actor)
        details = PatientDetails(
            mrn=merged.mrn,
            family_name="X",
            given_name="Y",
            birth_date=kept.birth_date,
            gender=kept.gender,
        )

        with pytest.raises(ConflictError):
            register_patient(details=details, actor=actor)

    def test_both_histories_tell_when_merged(
        self, actor: Actor, kept: Patient, merged: Patient, records: Records
    ) -> None:
        merge(kept, merged, actor, reason="Zweimal angelegt")

        events = records.all(AuditEvent, AuditEvent.action == AuditAction.PATIENTS_MERGED)
        assert [event.patient_public_id for event in events] == [kept.public_id, merged.public_id]
        assert "Zweimal" not in repr([vars(event) for event in events])

    @pytest.mark.parametrize("reason", ["", " \n ", "x" * 501], ids=len)
    def test_merge_is_refused_when_the_reason_is_missing_or_too_long(
        self, actor: Actor, kept: Patient, merged: Patient, records: Records, reason: str
    ) -> None:
        with pytest.raises(InvalidInputError) as refusal:
            merge(kept, merged, actor, reason)

        assert "reason" in refusal.value.fields
        assert records.count(PatientMerge) == 0

    def test_merge_is_refused_when_it_is_with_itself(self, actor: Actor, kept: Patient) -> None:
        with pytest.raises(InvalidInputError):
            merge(kept, kept, actor)

    @pytest.mark.parametrize("is_turned", [False, True])
    def test_records_are_unknown_when_one_is_of_another_clinic(
        self, outsider: User, kept: Patient, merged: Patient, records: Records, is_turned: bool
    ) -> None:
        own = PatientFactory(clinic=outsider.clinic)
        pair = (kept, own) if is_turned else (own, kept)

        with pytest.raises(NotFoundError):
            merge(*pair, actor_of(outsider))
        assert records.count(PatientMerge) == 0

    @pytest.mark.parametrize("others", ["the same two", "turned round", "into a third", "a third into it"])
    def test_merge_is_refused_when_the_merged_record_is_merged_already(
        self, actor: Actor, clinic: Clinic, kept: Patient, merged: Patient, records: Records, others: str
    ) -> None:
        third = PatientFactory(clinic=clinic)
        merge(kept, merged, actor)
        pair = {
            "the same two": (kept, merged),
            "turned round": (merged, kept),
            "into a third": (third, merged),
            "a third into it": (merged, third),
        }[others]
        before = numbers(records)

        with pytest.raises(ConflictError):
            merge(*pair, actor)
        assert (records.count(PatientMerge), numbers(records)) == (1, before)

    def test_merge_is_refused_when_others_were_merged_into_the_one_given_up(
        self, actor: Actor, clinic: Clinic, kept: Patient, merged: Patient, records: Records
    ) -> None:
        merge(kept, merged, actor)

        with pytest.raises(ConflictError, match="undo those merges first"):
            merge(PatientFactory(clinic=clinic), kept, actor)
        assert records.count(PatientMerge) == 1

    @pytest.mark.parametrize(
        ("of_kept", "of_merged", "is_refused"),
        [
            (True, False, True),
            (False, True, True),
            (None, False, True),
            (False, None, False),
            (True, None, False),
            (None, True, False),
            (True, True, False),
        ],
    )
    def test_merge_is_refused_when_a_refusal_would_get_lost(
        self,
        actor: Actor,
        clinic: Clinic,
        records: Records,
        of_kept: bool | None,
        of_merged: bool | None,
        is_refused: bool,
    ) -> None:
        kept, merged = (PatientFactory(clinic=clinic, consent_to_care=one) for one in (of_kept, of_merged))

        if is_refused:
            with pytest.raises(ConflictError, match="photographs for care"):
                merge(kept, merged, actor)
        else:
            merge(kept, merged, actor)
        assert records.count(PatientMerge) == int(not is_refused)


class TestRevert:
    def test_lesions_have_their_former_numbers_when_reverted(
        self, actor: Actor, kept: Patient, merged: Patient, records: Records
    ) -> None:
        before = numbers(records)
        done = merge(kept, merged, actor)
        added = LesionFactory(patient=kept, number=5)

        revert_merge(public_id=done.public_id, actor=actor)

        assert numbers(records) == before | {added.public_id: (kept.id, 5)}
        assert find_patient(public_id=merged.public_id, actor=actor)

    def test_each_record_gets_its_own_lesions_when_two_merges_are_reverted_in_any_order(
        self, actor: Actor, clinic: Clinic, kept: Patient, merged: Patient, records: Records
    ) -> None:
        third = LesionFactory(patient__clinic=clinic).patient
        before = numbers(records)
        first, second = merge(kept, merged, actor), merge(kept, third, actor)

        revert_merge(public_id=first.public_id, actor=actor)
        revert_merge(public_id=second.public_id, actor=actor)

        assert numbers(records) == before

    def test_records_can_be_merged_again_when_reverted(
        self, actor: Actor, kept: Patient, merged: Patient
    ) -> None:
        revert_merge(public_id=merge(kept, merged, actor).public_id, actor=actor)

        again = merge(merged, kept, actor)

        found = find_merge_of(kept)
        assert found is not None
        assert found.public_id == again.public_id

    def test_second_revert_is_refused_when_it_is_undone_already(
        self, actor: Actor, kept: Patient, merged: Patient, records: Records
    ) -> None:
        done = merge(kept, merged, actor)
        revert_merge(public_id=done.public_id, actor=actor)

        with pytest.raises(ConflictError):
            revert_merge(public_id=done.public_id, actor=actor)
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.PATIENT_MERGE_REVERTED) == 2

    def test_merge_is_unknown_when_of_another_clinic(self, actor: Actor, records: Records) -> None:
        foreign = PatientMergeFactory()

        with pytest.raises(NotFoundError):
            revert_merge(public_id=foreign.public_id, actor=actor)
        assert records.one(PatientMerge).reverted_at is None


def test_edit_is_refused_when_the_record_was_merged_meanwhile(
    actor: Actor, kept: Patient, merged: Patient, records: Records
) -> None:
    merge(kept, merged, actor)
    details = PatientDetails(
        mrn=merged.mrn, family_name="X", given_name="Y", birth_date=kept.birth_date, gender=kept.gender
    )

    with pytest.raises(ConflictError):
        edit_patient(public_id=merged.public_id, details=details, version=1, actor=actor)
    assert records.count(Patient, Patient.family_name == "X") == 0
