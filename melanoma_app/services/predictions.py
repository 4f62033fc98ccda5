"""Predictions, given out again: alone, and with all that belongs to their photograph."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from melanoma_app.errors import NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import (
    Addendum,
    Checklist,
    FirstRead,
    Lesion,
    LesionImage,
    Patient,
    Prediction,
    Review,
)
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.checklists import newest_checklists
from melanoma_app.services.first_reads import find_first_reads
from melanoma_app.services.lesion_images import find_lesion_image


@dataclass(frozen=True, kw_only=True)
class Result:
    """A photograph with everything that was said of it.

    Args:
        image: The photograph, with its lesion and patient.
        prediction: The answer that is shown, with its model and who asked for it; None: no model has looked.
        is_newest: Whether that answer is the one that counts.
        first_reads: What clinicians took the lesion for, oldest first.
        checklist: The newest one; None: nobody has gone through one.
        review: The signed judgement with its addenda, oldest first; None: not signed yet.
    """

    image: LesionImage
    prediction: Prediction | None
    is_newest: bool
    first_reads: Sequence[FirstRead]
    checklist: Checklist | None
    review: Review | None

    @property
    def is_uncertain(self) -> bool:
        """Whether the answer that is shown lies within its model's uncertain band."""
        return self.prediction is not None and is_uncertain(self.prediction)


def is_uncertain(prediction: Prediction) -> bool:
    """Whether a probability lies within its model's uncertain band; never, where the band is not known."""
    model = prediction.model_version
    if model.uncertain_from is None or model.uncertain_to is None:
        return False
    return model.uncertain_from <= prediction.malignancy_probability < model.uncertain_to


def read_result(
    *, image_public_id: uuid.UUID, actor: Actor, prediction_public_id: uuid.UUID | None = None
) -> Result:
    """A photograph with its newest answer, or with an older one that is asked for; the reading is audited.

    Raises:
        NotFoundError: The clinic has no such photograph, or no model has ever given that answer about it.
    """
    image = find_lesion_image(public_id=image_public_id, actor=actor)
    result = find_result(image=image, prediction_public_id=prediction_public_id)
    record_event(
        action=AuditAction.PREDICTION_READ if result.prediction else AuditAction.PATIENT_READ,
        actor=actor,
        subject_public_id=result.prediction.public_id if result.prediction else image.public_id,
        patient=image.lesion.patient,
    )
    db.session.commit()
    return result


def find_result(*, image: LesionImage, prediction_public_id: uuid.UUID | None = None) -> Result:
    """What was said of a photograph that the actor may see, for other services: nothing is audited.

    Raises:
        NotFoundError: No model has ever given that answer about it.
    """
    newest = shown = find_newest_prediction(image=image)
    if newest is not None and prediction_public_id not in (None, newest.public_id):
        shown = db.session.scalars(
            select(Prediction)
            .where(Prediction.public_id == prediction_public_id, Prediction.lesion_image_id == image.id)
            .options(joinedload(Prediction.model_version), joinedload(Prediction.created_by))
        ).one_or_none()
        if shown is None:
            raise NotFoundError("There is no such result of this photograph.")
    review = db.session.scalars(
        select(Review)
        .where(Review.lesion_image_id == image.id)
        .options(
            joinedload(Review.signed_by),
            joinedload(Review.prediction).joinedload(Prediction.model_version),
            selectinload(Review.addenda).joinedload(Addendum.written_by),
        )
    ).one_or_none()
    return Result(
        image=image,
        prediction=shown,
        is_newest=shown is newest,
        first_reads=find_first_reads(image=image),
        checklist=newest_checklists(image_ids=[image.id]).get(image.id),
        review=review,
    )


def find_newest_prediction(*, image: LesionImage) -> Prediction | None:
    """The answer that counts, with its model and who asked for it; None: no model has looked."""
    return db.session.scalars(
        select(Prediction)
        .where(Prediction.lesion_image_id == image.id)
        .order_by(Prediction.id.desc())
        .limit(1)
        .options(joinedload(Prediction.model_version), joinedload(Prediction.created_by))
    ).one_or_none()


def find_prediction(*, public_id: uuid.UUID, actor: Actor) -> Prediction:
    """The clinic's prediction of that id, with its photograph, lesion, patient and model, for other services.

    Nothing is audited.

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
    return prediction


def read_prediction(*, public_id: uuid.UUID, actor: Actor) -> Prediction:
    """A prediction with its image, lesion, patient and model; the reading is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
    """
    prediction = find_prediction(public_id=public_id, actor=actor)
    record_event(
        action=AuditAction.PREDICTION_READ,
        actor=actor,
        subject_public_id=prediction.public_id,
        patient=prediction.lesion_image.lesion.patient,
    )
    db.session.commit()
    return prediction
