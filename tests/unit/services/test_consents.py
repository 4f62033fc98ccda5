from __future__ import annotations

import dataclasses
from datetime import date

import pytest

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.models import AuditEvent, Clinic, ConsentDecision, Patient
from melanoma_app.models.vocabulary import AuditAction, ConsentPurpose, Gender
from melanoma_app.services.actor import Actor
from melanoma_app.services.consents import describe_consents, list_consent_decisions, record_consent
from melanoma_app.services.patients import PatientDetails, edit_patient, find_patient, register_patient
from tests.factories import PatientFactory
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")
DETAILS = PatientDetails(
    mrn="A-1",
    family_name="García",
    given_name="Ana",
    birth_date=date(1962, 4, 27),
    gender=Gender.FEMALE,
    consent_to_care=True,
    consent_to_ai_analysis=True,
)


def history(records: Records) -> list[tuple[str, bool]]:
    return [(one.purpose.value, one.is_given) for one in records.all(ConsentDecision)]


def test_column_and_history_agree_when_a_consent_is_withdrawn(actor: Actor, records: Records) -> None:
    patient = register_patient(details=DETAILS, actor=actor)

    record_consent(
        patient_public_id=patient.public_id, purpose=ConsentPurpose.AI_ANALYSIS, is_given=False, actor=actor
    )

    assert records.one(Patient).consent_to_ai_analysis is False
    assert history(records) == [("care", True), ("ai_analysis", True), ("ai_analysis", False)]
    event = records.one(AuditEvent, AuditEvent.action == AuditAction.CONSENT_RECORDED)
    assert event.details == {"purpose": "ai_analysis", "is_given": False}


def test_answer_counts_once_when_the_button_is_pressed_twice(actor: Actor, records: Records) -> None:
    patient = register_patient(details=DETAILS, actor=actor)

    decisions = [
        record_consent(
            patient_public_id=patient.public_id, purpose=ConsentPurpose.RESEARCH, is_given=True, actor=actor
        ).id
        for _ in range(2)
    ]

    assert len(set(decisions)) == 1
    assert history(records)[2:] == [("research", True)]


def test_editor_is_told_when_a_consent_was_withdrawn_meanwhile(actor: Actor, records: Records) -> None:
    patient = register_patient(details=DETAILS, actor=actor)
    read = patient.version
    record_consent(
        patient_public_id=patient.public_id, purpose=ConsentPurpose.CARE, is_given=False, actor=actor
    )

    with pytest.raises(ConflictError):
        edit_patient(public_id=patient.public_id, details=DETAILS, version=read, actor=actor)
    assert records.one(Patient).consent_to_care is False


def test_history_grows_by_what_changed_when_a_patient_is_edited(actor: Actor, records: Records) -> None:
    patient = register_patient(details=DETAILS, actor=actor)
    details = dataclasses.replace(DETAILS, consent_to_ai_analysis=False, consent_to_research=True)

    edit_patient(public_id=patient.public_id, details=details, version=1, actor=actor)

    assert history(records)[2:] == [("ai_analysis", False), ("research", True)]


def test_answer_cannot_be_taken_out_of_the_record_when_edited(actor: Actor, records: Records) -> None:
    patient = register_patient(details=DETAILS, actor=actor)
    details = dataclasses.replace(DETAILS, consent_to_care=None)

    with pytest.raises(InvalidInputError) as refusal:
        edit_patient(public_id=patient.public_id, details=details, version=1, actor=actor)

    assert set(refusal.value.fields) == {"consent_to_care"}
    assert records.one(Patient).consent_to_care is True


def test_state_names_who_recorded_it_when_described(actor: Actor) -> None:
    patient = register_patient(details=DETAILS, actor=actor)
    found = find_patient(public_id=patient.public_id, actor=actor)

    states = describe_consents(patient=found, decisions=list_consent_decisions(patient=found))

    assert [(state.purpose, state.is_given) for state in states] == [
        (ConsentPurpose.CARE, True),
        (ConsentPurpose.AI_ANALYSIS, True),
        (ConsentPurpose.RESEARCH, None),
    ]
    assert states[0].decision is not None
    assert states[0].decision.recorded_by.id == actor.user.id
    assert states[2].decision is None


def test_answer_from_before_the_history_is_recorded_when_given_again(
    actor: Actor, clinic: Clinic, records: Records
) -> None:
    patient = PatientFactory(clinic=clinic)

    record_consent(
        patient_public_id=patient.public_id, purpose=ConsentPurpose.AI_ANALYSIS, is_given=True, actor=actor
    )

    assert history(records) == [("ai_analysis", True)]


def test_patient_is_unknown_when_of_another_clinic(actor: Actor, records: Records) -> None:
    foreign = PatientFactory()

    with pytest.raises(NotFoundError):
        record_consent(
            patient_public_id=foreign.public_id, purpose=ConsentPurpose.CARE, is_given=True, actor=actor
        )
    assert history(records) == []
