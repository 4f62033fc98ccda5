"""Reviews: a clinician's signed judgement of a photograph, and what is added to it afterwards."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from melanoma_app.extensions import db
from melanoma_app.models import Addendum, Lesion, LesionImage, Patient, Prediction, Review
from melanoma_app.models.base import utc_now
from melanoma_app.models.review import REVIEW_TEXT_LENGTH
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel, ReviewPlan
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.lesion_images import find_lesion_image
from melanoma_app.services.patients import clinic_day
from melanoma_app.services.predictions import find_newest_prediction
from melanoma_app.services.text import tidy_paragraphs, tidy_text

CLINICAL_DIAGNOSIS_LENGTH: Final = 200
"""Characters."""
LATEST_DUE_YEARS: Final = 5
"""A lesion that may wait longer is not being monitored; a later date is a slip of the year."""


def sign_review(
    *,
    image_public_id: uuid.UUID,
    prediction_public_id: uuid.UUID | None,
    conclusion: OutcomeLabel,
    plan: ReviewPlan,
    actor: Actor,
    reason: str = "",
    clinical_diagnosis: str = "",
    due_on: date | None = None,
) -> Review:
    """Sign a clinician's judgement of a photograph. It is never changed; addenda can follow.

    The row is the signature: of two clinicians who sign at once, the database lets one through. Whoever concludes
    otherwise than the model says why. Nobody is reassured about a lesion that was just called malignant.

    Args:
        image_public_id: The photograph.
        prediction_public_id: The answer that was in front of the clinician; None: no model had looked.
        conclusion: What the clinician takes the lesion for.
        plan: What is to be done.
        actor: Who signs.
        reason: Why the model is overridden, up to 1000 characters; may be empty when it is not.
        clinical_diagnosis: In the clinician's own words, up to 200 characters; may be empty.
        due_on: When to look again: given for monitoring, and for nothing else.

    Raises:
        NotPermittedError: The actor is no clinician.
        NotFoundError: The clinic has no such photograph.
        ConflictError: It is signed already, or a model has given another answer meanwhile; nothing is changed.
        InvalidInputError: A value cannot be right; `fields` says which and why.
    """
    _check_may_review(actor)
    lock_chain(actor.clinic_id)
    image = find_lesion_image(public_id=image_public_id, actor=actor)
    _refuse_second_signature(image, actor)
    prediction = find_newest_prediction(image=image)
    if (prediction.public_id if prediction else None) != prediction_public_id:
        raise ConflictError(
            "A model has looked at this photograph again meanwhile, so nothing was signed. "
            "Look at its new answer, then sign."
        )
    reason, clinical_diagnosis = tidy_paragraphs(reason), tidy_text(clinical_diagnosis)
    is_override = prediction is not None and conclusion is not prediction.label
    problems = {
        "reason": _doubt_reason(reason, is_override=is_override),
        "clinical_diagnosis": _doubt_length(clinical_diagnosis, CLINICAL_DIAGNOSIS_LENGTH),
        "plan": _doubt_plan(plan, conclusion),
        "due_on": _doubt_due_day(due_on, plan=plan, today=clinic_day(utc_now(), actor=actor)),
    }
    if fields := {name: [problem] for name, problem in problems.items() if problem}:
        raise InvalidInputError("Nothing was signed: some values need another look.", fields=fields)
    review = Review(
        public_id=uuid.uuid4(),
        lesion_image=image,
        prediction=prediction,
        conclusion=conclusion,
        clinical_diagnosis=clinical_diagnosis,
        reason=reason,
        plan=plan,
        due_on=due_on,
        signed_by_id=actor.user.id,
    )
    _keep(review, image, prediction, actor)
    return find_review(public_id=review.public_id, actor=actor)


def find_review(*, public_id: uuid.UUID, actor: Actor) -> Review:
    """The clinic's review of that id, with its photograph, patient, answer and signer, for other services.

    Nothing is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
    """
    review = db.session.scalars(
        select(Review)
        .join(Review.lesion_image)
        .join(LesionImage.lesion)
        .join(Lesion.patient)
        .where(Review.public_id == public_id, Patient.clinic_id == actor.clinic_id)
        .options(
            contains_eager(Review.lesion_image)
            .contains_eager(LesionImage.lesion)
            .contains_eager(Lesion.patient),
            joinedload(Review.prediction),
            joinedload(Review.signed_by),
            selectinload(Review.addenda).joinedload(Addendum.written_by),
        )
    ).one_or_none()
    if review is None:
        raise NotFoundError("There is no such review in your clinic. Open it from the patient's page.")
    return review


def add_addendum(*, review_public_id: uuid.UUID, text: str, actor: Actor) -> Addendum:
    """Add something to a signed review, under the actor's own name; neither is ever changed.

    Any clinician of the clinic may, not only the one who signed.

    Raises:
        NotPermittedError: The actor is no clinician.
        NotFoundError: The clinic has no such review.
        InvalidInputError: There is no text, or it is too long.
    """
    _check_may_review(actor)
    review = find_review(public_id=review_public_id, actor=actor)
    text = tidy_paragraphs(text)
    problem = _doubt_length(text, REVIEW_TEXT_LENGTH) if text else "Write what is to be added."
    if problem:
        raise InvalidInputError(problem, fields={"text": [problem]})
    addendum = Addendum(public_id=uuid.uuid4(), review_id=review.id, text=text, written_by_id=actor.user.id)
    db.session.add(addendum)
    record_event(
        action=AuditAction.ADDENDUM_ADDED,
        actor=actor,
        subject_public_id=addendum.public_id,
        patient=review.lesion_image.lesion.patient,
        details={"review": str(review.public_id)},
    )
    db.session.commit()
    return addendum


def _check_may_review(actor: Actor) -> None:
    if Permission.REVIEW not in actor.permissions:
        raise NotPermittedError("Only a clinician may sign a review or add to one.")


def _refuse_second_signature(image: LesionImage, actor: Actor) -> None:
    signed = db.session.scalars(
        select(Review).where(Review.lesion_image_id == image.id).options(joinedload(Review.signed_by))
    ).one_or_none()
    if signed is not None:
        moment = signed.signed_at.astimezone(ZoneInfo(actor.user.clinic.time_zone))
        raise ConflictError(
            f"{signed.signed_by.display_name} signed this photograph on {moment.day} {moment:%b %Y, %H:%M}, so nothing "
            "was changed. Read that review; what you know beyond it goes into an addendum."
        )


def _keep(review: Review, image: LesionImage, prediction: Prediction | None, actor: Actor) -> None:
    """Row and audit entry in one transaction; the log holds no free text."""
    try:
        # A savepoint: the page that tells of the refusal still needs what the session has loaded.
        with db.session.begin_nested():
            db.session.add(review)
    except IntegrityError:
        # The other signature was made after this transaction began, which MariaDB shows only to a new one.
        db.session.commit()
        _refuse_second_signature(image, actor)
        raise
    record_event(
        action=AuditAction.REVIEW_SIGNED,
        actor=actor,
        subject_public_id=review.public_id,
        patient=image.lesion.patient,
        details={
            "image": str(image.public_id),
            "prediction": str(prediction.public_id) if prediction else "",
            "conclusion": review.conclusion.value,
            "plan": review.plan.value,
        },
    )
    recount_patients(patient_ids=[image.lesion.patient_id], clinic_id=actor.clinic_id)
    db.session.commit()


def _doubt_reason(reason: str, *, is_override: bool) -> str | None:
    if is_override and not reason:
        return "Say why you override the model; it stays with the record."
    return _doubt_length(reason, REVIEW_TEXT_LENGTH)


def _doubt_length(text: str, most: int) -> str | None:
    return f"This has more than {most} characters. Shorten it." if len(text) > most else None


def _doubt_plan(plan: ReviewPlan, conclusion: OutcomeLabel) -> str | None:
    if plan is ReviewPlan.REASSURE and conclusion is OutcomeLabel.MALIGNANT:
        return (
            "You call this lesion malignant, so nobody can be reassured. Choose another plan, or look again."
        )
    return None


def _doubt_due_day(due_on: date | None, *, plan: ReviewPlan, today: date) -> str | None:
    if plan is not ReviewPlan.MONITOR:
        return "A date belongs to monitoring alone. Leave it out, or choose Monitor." if due_on else None
    if due_on is None:
        return "Say when to look at this lesion again."
    if due_on <= today:
        return "The lesion has to be looked at again later than today. Correct the date."
    if (due_on.year - LATEST_DUE_YEARS, due_on.month, due_on.day) > (today.year, today.month, today.day):
        return f"This is more than {LATEST_DUE_YEARS} years away. Check the year."
    return None
