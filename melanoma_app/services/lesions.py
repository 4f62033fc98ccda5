"""Lesions of a patient, with their images and the latest prediction of each."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import contains_eager, joinedload

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import Lesion, LesionImage, Patient, Prediction
from melanoma_app.models.prediction import is_latest_of_image
from melanoma_app.models.vocabulary import AnatomSiteGeneral, AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.patients import find_patient
from melanoma_app.services.text import tidy_paragraphs

MAXIMUM_DESCRIPTION_LENGTH = 500


@dataclass(frozen=True, kw_only=True)
class LesionRecord:
    """A lesion with the latest prediction of each of its images, newest image first."""

    lesion: Lesion
    predictions: Sequence[Prediction]


@dataclass(frozen=True, kw_only=True)
class PatientRecord:
    """A patient with every lesion."""

    patient: Patient
    lesions: Sequence[LesionRecord]


def add_lesion(
    *, patient_public_id: uuid.UUID, anatom_site_general: AnatomSiteGeneral, description: str, actor: Actor
) -> Lesion:
    """Add a lesion to a patient; it gets the patient's next number.

    Raises:
        NotFoundError: The clinic has no such patient.
        InvalidInputError: The description is too long.
    """
    description = tidy_paragraphs(description)
    if len(description) > MAXIMUM_DESCRIPTION_LENGTH:
        message = f"A description has up to {MAXIMUM_DESCRIPTION_LENGTH} characters."
        raise InvalidInputError(message, fields={"description": [message]})
    patient = find_patient(public_id=patient_public_id, actor=actor)
    # The patient's row is locked so that two lesions added at once get two numbers.
    db.session.execute(select(Patient.id).where(Patient.id == patient.id).with_for_update())
    count = db.session.scalar(select(func.max(Lesion.number)).where(Lesion.patient_id == patient.id)) or 0
    lesion = Lesion(
        public_id=uuid.uuid4(),
        patient=patient,
        number=count + 1,
        anatom_site_general=anatom_site_general,
        description=description,
    )
    db.session.add(lesion)
    record_event(
        action=AuditAction.LESION_ADDED, actor=actor, subject_public_id=lesion.public_id, patient=patient
    )
    db.session.commit()
    return lesion


def find_lesion(*, public_id: uuid.UUID, actor: Actor) -> Lesion:
    """The clinic's lesion of that id, with its patient, for other services: nothing is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
    """
    lesion = db.session.scalars(
        select(Lesion)
        .join(Lesion.patient)
        .where(Lesion.public_id == public_id, Patient.clinic_id == actor.clinic_id)
        .options(contains_eager(Lesion.patient))
    ).one_or_none()
    if lesion is None:
        raise NotFoundError("There is no such lesion in your clinic. Open it from the patient's page.")
    return lesion


def read_lesion(*, public_id: uuid.UUID, actor: Actor) -> Lesion:
    """A lesion to be shown, with its patient; the reading is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
    """
    lesion = find_lesion(public_id=public_id, actor=actor)
    record_event(
        action=AuditAction.PATIENT_READ, actor=actor, subject_public_id=public_id, patient=lesion.patient
    )
    db.session.commit()
    return lesion


def read_patient_record(*, public_id: uuid.UUID, actor: Actor) -> PatientRecord:
    """A patient with all lesions, images and latest predictions; the reading is audited.

    Raises:
        NotFoundError: The clinic has no such patient.
    """
    patient = find_patient(public_id=public_id, actor=actor)
    lesions = db.session.scalars(
        select(Lesion).where(Lesion.patient_id == patient.id).order_by(Lesion.number)
    ).all()
    predictions: dict[int, list[Prediction]] = {lesion.id: [] for lesion in lesions}
    for prediction in db.session.scalars(
        select(Prediction)
        .join(Prediction.lesion_image)
        .join(LesionImage.lesion)
        .where(Lesion.patient_id == patient.id, is_latest_of_image())
        .order_by(LesionImage.captured_at.desc(), LesionImage.id.desc())
        .options(contains_eager(Prediction.lesion_image), joinedload(Prediction.model_version))
    ):
        predictions[prediction.lesion_image.lesion_id].append(prediction)
    record_event(
        action=AuditAction.PATIENT_READ, actor=actor, subject_public_id=patient.public_id, patient=patient
    )
    db.session.commit()
    return PatientRecord(
        patient=patient,
        lesions=[LesionRecord(lesion=lesion, predictions=predictions[lesion.id]) for lesion in lesions],
    )
