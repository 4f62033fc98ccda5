"""Predictions and images, given out again."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import contains_eager, joinedload

from melanoma_app.errors import NotFoundError, UnavailableError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import Lesion, LesionImage, Patient, Prediction
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """The bytes of an image as the store keeps them."""

    content: bytes
    sha256: str


def read_prediction(*, public_id: uuid.UUID, actor: Actor) -> Prediction:
    """A prediction with its image, lesion, patient and model; the reading is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
    """
    prediction = db.session.scalars(
        select(Prediction)
        .join(Prediction.lesion_image)
        .join(LesionImage.lesion)
        .join(Lesion.patient)
        .where(Prediction.public_id == public_id, Patient.clinic_id == actor.clinic_id)
        .options(
            contains_eager(Prediction.lesion_image)
            .contains_eager(LesionImage.lesion)
            .contains_eager(Lesion.patient),
            joinedload(Prediction.model_version),
            joinedload(Prediction.created_by),
        )
    ).one_or_none()
    if prediction is None:
        raise NotFoundError("There is no such result in your clinic. Open it from the patient's page.")
    record_event(
        action=AuditAction.PREDICTION_READ,
        actor=actor,
        subject_public_id=prediction.public_id,
        patient=prediction.lesion_image.lesion.patient,
    )
    db.session.commit()
    return prediction


def read_image(*, public_id: uuid.UUID, actor: Actor) -> StoredImage:
    """A stored image, checked against its digest; the reading is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
        UnavailableError: The file is gone or is no longer what was stored.
    """
    lesion_image = db.session.scalars(
        select(LesionImage)
        .join(LesionImage.lesion)
        .join(Lesion.patient)
        .where(LesionImage.public_id == public_id, Patient.clinic_id == actor.clinic_id)
        .options(contains_eager(LesionImage.lesion).contains_eager(Lesion.patient))
    ).one_or_none()
    if lesion_image is None:
        raise NotFoundError("There is no such image in your clinic.")
    record_event(
        action=AuditAction.IMAGE_READ,
        actor=actor,
        subject_public_id=lesion_image.public_id,
        patient=lesion_image.lesion.patient,
    )
    db.session.commit()
    content = image_storage.store.read(key=lesion_image.storage_key)
    if hashlib.sha256(content).hexdigest() != lesion_image.sha256:
        raise UnavailableError(
            "The stored image is damaged. Tell your engineer to restore it from the backup."
        )
    return StoredImage(content=content, sha256=lesion_image.sha256)
