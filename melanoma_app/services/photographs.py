"""A photograph that comes in, one by one or with many: what must be true of it, and the rows that it becomes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from PIL import Image
from sqlalchemy import select

from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, Lesion, LesionImage, Patient, Prediction
from melanoma_app.models.base import utc_now
from melanoma_app.models.lesion import LARGEST_LESION_MM
from melanoma_app.models.vocabulary import AuditAction, ImageType
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.image_files import STORED_LONG_SIDE_PX, ImageFiles
from melanoma_app.services.lesion_images import ImageRecord, list_image_records
from melanoma_app.services.model_answers import ModelAnswer, may_model_look
from melanoma_app.services.patients import clinic_day
from ml.inference import (
    JPEG_START,
    UnreadableImageError,
    decode_image,
    is_whole_jpeg,
    is_whole_png,
    read_jpeg_structure,
)

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far ahead of ours a camera's clock may run."""


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """What is known of a photograph, checked, before it is decoded."""

    upload_sha256: str
    image_type: ImageType
    captured_at: datetime
    clin_size_long_diam_mm: float | None
    quality_override_reason: str


def check_care(patient: Patient) -> None:
    """Refuse a photograph of somebody who has refused care.

    Raises:
        ConflictError: The patient has refused care.
    """
    if patient.consent_to_care is False:
        raise ConflictError(
            "The patient has refused care, so the photograph was not taken in. "
            "If they have changed their mind, record it on the patient's page first."
        )


def check_captured_at(captured_at: datetime | None, *, patient: Patient, actor: Actor) -> datetime:
    """When a photograph was taken; now for None.

    Raises:
        InvalidInputError: It cannot have been taken then.
    """
    now = utc_now()
    if captured_at is None:
        return now
    problem = None
    # The first and last days of the calendar cannot be moved to another zone, so the zone comes last.
    if captured_at > now + CLOCK_TOLERANCE:
        problem = "The photograph cannot have been taken in the future. Correct its date, or leave it out."
    elif (
        captured_at.year < patient.birth_date.year
        or clinic_day(captured_at, actor=actor) < patient.birth_date
    ):
        problem = "The photograph cannot be older than the patient. Correct its date, or leave it out."
    if problem:
        raise InvalidInputError(problem, fields={"captured_at": [problem]})
    return captured_at


def check_size(size_mm: float | None) -> float | None:
    """A lesion's longest diameter, if anybody has measured it.

    Raises:
        InvalidInputError: No lesion has that size.
    """
    if size_mm is None or 0 < size_mm <= LARGEST_LESION_MM:
        return size_mm
    problem = f"A lesion's longest diameter is above 0 and up to {LARGEST_LESION_MM} mm. Correct it, or leave it out."
    raise InvalidInputError(problem, fields={"clin_size_long_diam_mm": [problem]})


def find_same_photograph(*, lesion: Lesion, photograph: Photograph) -> ImageRecord | None:
    """The record of a lesion's photograph that came in as the very same file; None: there is none.

    Who was not answered sends a photograph again, so the second time changes nothing and gives what is on record.

    Raises:
        ConflictError: It is on record with another type or size.
    """
    known = db.session.scalars(
        select(LesionImage)
        .where(LesionImage.lesion_id == lesion.id, LesionImage.upload_sha256 == photograph.upload_sha256)
        .order_by(LesionImage.id)
        .limit(1)
    ).one_or_none()
    if known is None:
        return None
    if (known.image_type, known.clin_size_long_diam_mm) != (
        photograph.image_type,
        photograph.clin_size_long_diam_mm,
    ):
        raise ConflictError(
            "This very file is on record for this lesion already, with another type or size, so it was not taken in "
            "again. Look at it on the lesion's page."
        )
    return next(
        record
        for record in list_image_records(lesion_ids=[lesion.id])[lesion.id]
        if record.image.id == known.id
    )


def decode_upload(upload: bytes) -> Image.Image:
    """The pixels of a file that the upload guard has let through, at the size they are stored.

    Raises:
        InvalidInputError: The file is damaged or truncated, or ends early with an end marker all the same.
    """
    try:
        image = decode_image(upload, long_side_px=STORED_LONG_SIDE_PX)
    except UnreadableImageError as error:
        raise InvalidInputError(str(error), fields={"image": [str(error)]}) from error
    if not _is_whole(upload, image):
        problem = "A part of the picture is missing from the file: copy it again from the camera."
        raise InvalidInputError(problem, fields={"image": [problem]})
    return image


def _is_whole(upload: bytes, image: Image.Image) -> bool:
    if not upload.startswith(JPEG_START):
        return is_whole_png(upload)
    structure = read_jpeg_structure(upload)
    return is_whole_jpeg(upload, structure, decoded=image, long_side_px=STORED_LONG_SIDE_PX)


def enter_photograph(
    *,
    lesion: Lesion,
    photograph: Photograph,
    size_px: tuple[int, int],
    files: ImageFiles,
    answer: ModelAnswer | None,
    prediction: Prediction | None,
    actor: Actor,
    chain: AuditChain | None = None,
) -> ImageRecord:
    """Add a photograph, its answer and the audit entry, in the caller's transaction.

    Whether the patient agrees to an answer is asked once more: without a yes it is dropped, as if no model had looked.

    Args:
        lesion: Which, with its patient as they stand in the caller's transaction.
        photograph: What is known of it.
        size_px: Width and height as stored.
        files: What the store keeps of it.
        answer: What the model said; None: none has looked.
        prediction: The answer's row, in no session yet.
        actor: Who sent it.
        chain: The clinic's audit chain, where the caller has locked it.

    Raises:
        ConflictError: The patient has refused care.
    """
    check_care(lesion.patient)
    if not may_model_look(lesion.patient):
        answer = prediction = None
    findings = [finding.issue.value for finding in answer.findings] if answer else []
    lesion_image = LesionImage(
        public_id=uuid.uuid4(),
        lesion=lesion,
        upload_sha256=photograph.upload_sha256,
        width_px=size_px[0],
        height_px=size_px[1],
        image_type=photograph.image_type,
        clin_size_long_diam_mm=photograph.clin_size_long_diam_mm,
        quality=answer.quality if answer else None,
        quality_override_reason=photograph.quality_override_reason if findings else None,
        captured_at=photograph.captured_at,
        captured_on=clinic_day(photograph.captured_at, actor=actor),
        created_by_id=actor.user.id,
        **vars(files),
    )
    db.session.add(lesion_image)
    details: dict[str, object] = {}
    if prediction:
        prediction.lesion_image = lesion_image
        db.session.add(prediction)
        details["prediction"] = str(prediction.public_id)
    if findings:
        details["quality_findings"] = findings
    record_event(
        action=AuditAction.IMAGE_ADDED,
        actor=actor,
        subject_public_id=lesion_image.public_id,
        patient=lesion.patient,
        details=details,
        chain=chain,
    )
    return ImageRecord(image=lesion_image, prediction=prediction, review=None)
