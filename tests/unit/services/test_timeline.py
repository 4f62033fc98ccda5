from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event

from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, Clinic, Patient
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, ConsentPurpose, OutcomeLabel, ReviewPlan
from melanoma_app.services.actor import Actor
from melanoma_app.services.consents import record_consent
from melanoma_app.services.patient_merges import merge_patients
from melanoma_app.services.timeline import group_by_day, list_timeline
from tests.factories import (
    AddendumFactory,
    ChecklistFactory,
    FirstReadFactory,
    HistopathologyFactory,
    LesionFactory,
    LesionImageFactory,
    PatientFactory,
    PredictionFactory,
    ReviewFactory,
)
from tests.records import Records, end_app_transaction

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def patient(clinic: Clinic, actor: Actor) -> Patient:
    """A patient with one of everything, each a day after the one before; the first a fortnight ago."""
    start = utc_now() - timedelta(days=14)
    patient = PatientFactory(clinic=clinic, created_at=start)
    lesion = LesionFactory(patient=patient, number=7, created_at=start + timedelta(days=1))
    image = LesionImageFactory(lesion=lesion, captured_at=start + timedelta(days=2))
    FirstReadFactory(lesion_image=image, read_at=start + timedelta(days=3))
    ChecklistFactory(lesion_image=image, atypical_pigment_network=True, recorded_at=start + timedelta(days=4))
    review = ReviewFactory(
        prediction=PredictionFactory(lesion_image=image),
        conclusion=OutcomeLabel.MALIGNANT,
        plan=ReviewPlan.MONITOR,
        due_on=(start + timedelta(days=90)).date(),
        reason="Grows",
        signed_at=start + timedelta(days=5),
    )
    AddendumFactory(review=review, written_at=start + timedelta(days=6))
    HistopathologyFactory(lesion=lesion, recorded_at=start + timedelta(days=7))
    record_consent(
        patient_public_id=patient.public_id, purpose=ConsentPurpose.RESEARCH, is_given=False, actor=actor
    )
    return patient


def test_everything_is_told_newest_first_when_listed(actor: Actor, clinic: Clinic, patient: Patient) -> None:
    twin = PatientFactory(clinic=clinic, mrn="TWIN")
    merge_patients(
        kept_public_id=patient.public_id, merged_public_id=twin.public_id, reason="Same", actor=actor
    )

    entries = list_timeline(patient_public_id=patient.public_id, actor=actor)

    assert [entry.kind.value for entry in entries] == [
        "merge",
        "consent",
        "histopathology",
        "addendum",
        "review",
        "checklist",
        "first_read",
        "photograph",
        "lesion",
        "registered",
    ]
    told = {entry.kind.value: f"{entry.title}. {entry.text}" for entry in entries}
    assert "TWIN" in told["merge"]
    assert "research refused" in told["consent"]
    assert "malignant, overriding the model; plan: monitor. Grows" in told["review"]
    assert "seven-point score 2" in told["checklist"]
    assert {entry.lesion_number for entry in entries} == {None, 7}


def test_reading_is_audited_once_when_listed(actor: Actor, patient: Patient, records: Records) -> None:
    list_timeline(patient_public_id=patient.public_id, actor=actor)

    assert records.count(AuditEvent, AuditEvent.action == AuditAction.PATIENT_READ) == 1


def test_queries_are_as_many_when_there_are_ten_times_the_photographs(actor: Actor, patient: Patient) -> None:
    with counted_queries() as few:
        list_timeline(patient_public_id=patient.public_id, actor=actor)
    end_app_transaction()
    lesion = LesionFactory(patient=patient, number=8)
    for _ in range(10):
        ReviewFactory(prediction=PredictionFactory(lesion_image=LesionImageFactory(lesion=lesion)))

    with counted_queries() as many:
        entries = list_timeline(patient_public_id=patient.public_id, actor=actor)

    assert len(entries) == 9 + 1 + 20
    assert len(many) == len(few)


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield statements
    event.remove(db.engine, "before_cursor_execute", note)


def test_days_are_the_clinics_when_grouped(actor: Actor, patient: Patient) -> None:
    entries = list_timeline(patient_public_id=patient.public_id, actor=actor)

    days = group_by_day(entries, patient=patient)

    assert [entry for day in days for entry in day.entries] == list(entries)
    assert all(
        entry.happened_at.date() == day.day for day in days for entry in day.entries
    )  # the test's clinic keeps UTC
