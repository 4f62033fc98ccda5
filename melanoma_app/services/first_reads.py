"""First reads: what a clinician takes a lesion for before the model's answer is in front of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy import and_, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.attributes import set_committed_value

from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.extensions import db
from melanoma_app.models import (
    AuditChain,
    AuditEvent,
    FirstRead,
    LesionImage,
    Patient,
    PatientMerge,
    Prediction,
)
from melanoma_app.models.vocabulary import AuditAction, ClinicalImpression
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.lesion_images import find_lesion_image
from melanoma_app.services.text import tidy_paragraphs

NOTE_LENGTH: Final = 500
"""Characters."""
_MAY_SHOW_ANSWERS: Final = (
    AuditAction.PATIENT_READ,
    AuditAction.REPORT_READ,
    AuditAction.RECORDS_EXPORTED,
    AuditAction.PATIENT_EXPORTED,
)


def read_for_first_read(*, image_public_id: uuid.UUID, actor: Actor) -> LesionImage:
    """A photograph with its lesion and patient, to be judged; nothing a model said of it is looked up.

    Audited as the reading of an image, which never counts as having seen the answer.

    Raises:
        NotFoundError: The clinic has no such photograph.
        ConflictError: The actor has recorded an impression of it already.
    """
    lesion_image = find_lesion_image(public_id=image_public_id, actor=actor)
    _check_is_first(lesion_image, actor)
    record_event(
        action=AuditAction.IMAGE_READ,
        actor=actor,
        subject_public_id=lesion_image.public_id,
        patient=lesion_image.lesion.patient,
    )
    db.session.commit()
    return lesion_image


def record_first_read(
    *, image_public_id: uuid.UUID, impression: ClinicalImpression, note: str, actor: Actor
) -> FirstRead:
    """Keep a clinician's own impression of a photograph: one each, never changed.

    `answer_was_shown` is worked out from the audit log, not asked. It is true when this clinician, before now,
    (a) has opened one of the photograph's answers (PREDICTION_READ of one of its predictions); or, since the first of
    them was made,
    (b) has opened or exported anything of the patient's that may show answers (PATIENT_READ, REPORT_READ,
    RECORDS_EXPORTED or PATIENT_EXPORTED of the patient, also under a record that was merged with this one); or
    (c) has been shown or has exported a list with the patient in it (PATIENTS_LISTED, RECORDS_EXPORTED).
    The log does not tell whether such a page did show the answer, so it counts: a blind read is rather missed than
    claimed wrongly. Opening the first-read page, a photograph or a thumbnail does not count, nor does sending the
    photograph or asking a model to score it. Where no model has answered, there was nothing to be shown.

    Args:
        image_public_id: The photograph.
        impression: What the clinician takes the lesion for.
        note: Anything to add, up to 500 characters.
        actor: The clinician.

    Raises:
        NotFoundError: The clinic has no such photograph.
        ConflictError: The clinician has recorded an impression of it already.
        InvalidInputError: The note is too long.
    """
    note = tidy_paragraphs(note)
    if len(note) > NOTE_LENGTH:
        message = f"The note has more than {NOTE_LENGTH} characters. Shorten it."
        raise InvalidInputError(message, fields={"note": [message]})
    lesion_image = find_lesion_image(public_id=image_public_id, actor=actor)
    _check_is_first(lesion_image, actor)
    first_read = FirstRead(
        public_id=uuid.uuid4(),
        lesion_image=lesion_image,
        impression=impression,
        note=note,
        answer_was_shown=_was_answer_shown(lesion_image, actor),
        read_by_id=actor.user.id,
    )
    try:
        # A savepoint: the page that tells of the refusal still needs what the session has loaded.
        with db.session.begin_nested():
            db.session.add(first_read)
    except IntegrityError as error:
        db.session.commit()
        raise _told_already() from error
    record_event(
        action=AuditAction.FIRST_READ_RECORDED,
        actor=actor,
        subject_public_id=first_read.public_id,
        patient=lesion_image.lesion.patient,
        details={"image": str(lesion_image.public_id)},
    )
    db.session.commit()
    set_committed_value(first_read, "read_by", actor.user)
    return first_read


def find_first_reads(*, image: LesionImage) -> Sequence[FirstRead]:
    """Every clinician's first read of a photograph, with who made it, the earliest first; nothing is audited."""
    return db.session.scalars(
        select(FirstRead)
        .where(FirstRead.lesion_image_id == image.id)
        .order_by(FirstRead.id)
        .options(joinedload(FirstRead.read_by))
    ).all()


def _check_is_first(lesion_image: LesionImage, actor: Actor) -> None:
    earlier = select(FirstRead.id).where(
        FirstRead.lesion_image_id == lesion_image.id, FirstRead.read_by_id == actor.user.id
    )
    if db.session.scalar(earlier) is not None:
        raise _told_already()


def _told_already() -> ConflictError:
    return ConflictError(
        "You have recorded your first impression of this photograph already, and it stays as it is. "
        "Open the result to go on."
    )


def _was_answer_shown(lesion_image: LesionImage, actor: Actor) -> bool:
    predictions = db.session.scalars(
        select(Prediction).where(Prediction.lesion_image_id == lesion_image.id).order_by(Prediction.id)
    ).all()
    if not predictions:
        return False
    patient_ids, answered_at = _ids_of(lesion_image.lesion.patient), predictions[0].created_at
    of_patient = AuditEvent.patient_public_id.in_(patient_ids)
    opened = select(AuditEvent.id).where(
        of_patient,
        AuditEvent.actor_public_id == actor.public_id,
        or_(
            and_(
                AuditEvent.action == AuditAction.PREDICTION_READ,
                AuditEvent.subject_public_id.in_([prediction.public_id for prediction in predictions]),
            ),
            and_(AuditEvent.action.in_(_MAY_SHOW_ANSWERS), AuditEvent.occurred_at >= answered_at),
        ),
    )
    if db.session.scalar(opened.limit(1)) is not None:
        return True
    # What happened to the patient earlier bounds the part of the chain that is read: lists have no index by patient.
    earlier = db.session.scalar(
        select(func.max(AuditEvent.sequence)).where(of_patient, AuditEvent.occurred_at < answered_at)
    )
    lists = select(AuditEvent.details).where(
        AuditEvent.chain_id
        == select(AuditChain.id).where(AuditChain.clinic_id == actor.clinic_id).scalar_subquery(),
        AuditEvent.sequence > (earlier or 0),
        AuditEvent.actor_public_id == actor.public_id,
        AuditEvent.action.in_([AuditAction.PATIENTS_LISTED, AuditAction.RECORDS_EXPORTED]),
        AuditEvent.occurred_at >= answered_at,
    )
    names = {str(patient_id) for patient_id in patient_ids}
    # Looked through here: the three databases search JSON in three ways.
    return any(names.intersection(details.get("patients", ())) for details in db.session.scalars(lists))


def _ids_of(patient: Patient) -> set[uuid.UUID]:
    """The public ids of the patient and of the records that were merged with theirs: the log knows either."""
    merged_with = select(Patient.public_id).join(
        PatientMerge,
        or_(
            and_(PatientMerge.merged_id == Patient.id, PatientMerge.kept_id == patient.id),
            and_(PatientMerge.kept_id == Patient.id, PatientMerge.merged_id == patient.id),
        ),
    )
    return {patient.public_id, *db.session.scalars(merged_with)}
