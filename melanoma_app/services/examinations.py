"""Examinations: take a photograph in, score it, and keep both."""

from __future__ import annotations

import hashlib
import tempfile
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as datetime_time
from typing import Final
from zoneinfo import ZoneInfo

from flask import current_app
from PIL import Image

from melanoma_app.errors import ConflictError, InvalidInputError, UnavailableError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import Lesion, LesionImage, Patient, Prediction
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, ImageType, OutcomeLabel
from melanoma_app.security.upload_guard import check_upload
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.lesions import find_lesion
from melanoma_app.services.model_activation import find_active_pin, load_active_model
from melanoma_app.services.model_versions import ensure_model_version
from melanoma_app.services.patients import clinic_day
from melanoma_app.storage import ImageStore
from ml.inference import (
    PREPROCESSING_VERSION,
    Classifier,
    ModelIntegrityError,
    ModelPrediction,
    UnreadableImageError,
    decode_image,
)

STORED_LONG_SIDE_PX: Final = 2000
"""A JPEG is decoded at the smallest DCT scale that keeps this many pixels along its long side."""
STORED_JPEG_QUALITY: Final = 90
"""With the colour at half resolution, as cameras keep it; a 12-megapixel photograph becomes about 0.5 MB."""
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far ahead of ours a camera's clock may run."""


@dataclass(frozen=True, kw_only=True)
class _StoredFile:
    """What a row keeps of its file, by the row's own names."""

    storage_key: str
    sha256: str
    size_bytes: int


def record_examination(
    *,
    lesion_public_id: uuid.UUID,
    upload: bytes,
    image_type: ImageType,
    actor: Actor,
    captured_at: datetime | None = None,
) -> Prediction:
    """Take a photograph of a lesion in: check, decode, score, store it re-encoded, and keep the prediction.

    No transaction is open while the image is decoded and scored. Image, rows and audit entry are kept together
    or not at all. The model is the one that is active when the request comes; a switch while it is at work does not
    change what scores, and the prediction names the one that did.

    Args:
        lesion_public_id: The lesion that was photographed.
        upload: The file as it came.
        image_type: How it was taken.
        actor: Who sends it.
        captured_at: When it was taken (aware), if that was earlier than now.

    Raises:
        NotFoundError: The clinic has no such lesion.
        ConflictError: The patient has refused analysis by a model.
        InvalidInputError: The file is empty, damaged or truncated, or the time cannot be right.
        UnsupportedImageError: The file is neither JPEG nor PNG.
        TooLargeError: The file or its picture is too large.
        UnavailableError: The model or the image store does not work at present.
    """
    lesion = _find_lesion_to_examine(lesion_public_id, actor)
    captured_at = _check_captured_at(captured_at, lesion.patient, actor)
    pin = find_active_pin()
    db.session.commit()

    check_upload(
        upload,
        max_upload_mb=current_app.config["MAX_UPLOAD_MB"],
        max_image_megapixels=current_app.config["MAX_IMAGE_MEGAPIXELS"],
    )
    model = load_active_model(pin=pin)
    started = time.perf_counter()
    image = _decode(upload)
    with ThreadPoolExecutor(max_workers=1) as helper:
        # The stored copy is encoded and flushed to the medium beside the network.
        storing = helper.submit(_store, image, image_storage.store)
        try:
            answer = _score(model, image)
            latency_s = time.perf_counter() - started
            upload_sha256 = hashlib.sha256(upload).hexdigest()
            prediction = Prediction(
                public_id=uuid.uuid4(),
                model_version=ensure_model_version(manifest=model.manifest),
                malignancy_probability=answer.probability,
                label=OutcomeLabel(answer.label),
                threshold=answer.threshold,
                operating_point=model.manifest.operating_point.name,
                preprocessing_version=PREPROCESSING_VERSION,
                image_sha256=upload_sha256,
                latency_s=latency_s,
                created_by_id=actor.user.id,
            )
            prediction.lesion_image = LesionImage(
                public_id=uuid.uuid4(),
                lesion=_find_lesion_to_examine(lesion_public_id, actor),
                upload_sha256=upload_sha256,
                width_px=image.width,
                height_px=image.height,
                image_type=image_type,
                captured_at=captured_at,
                captured_on=clinic_day(captured_at, actor=actor),
                created_by_id=actor.user.id,
                **vars(storing.result()),
            )
            _keep(prediction, actor)
        except BaseException:
            db.session.rollback()
            _discard(storing, image_storage.store)
            raise
    return prediction


def captured_on_day(day: date | None, *, actor: Actor) -> datetime | None:
    """The moment that stands for a day on which a photograph was taken: noon in the clinic, or now for today."""
    if day is None or day == clinic_day(utc_now(), actor=actor):
        return None
    return datetime.combine(day, datetime_time(12), tzinfo=ZoneInfo(actor.user.clinic.time_zone))


def _find_lesion_to_examine(public_id: uuid.UUID, actor: Actor) -> Lesion:
    """The lesion, if its patient lets a model look at it; asked again just before the result is kept."""
    lesion = find_lesion(public_id=public_id, actor=actor)
    if lesion.patient.consent_to_ai_analysis is False:
        raise ConflictError(
            "The patient has refused analysis by a model, so the photograph was not taken in. "
            "If they have changed their mind, record it on the patient's page first."
        )
    return lesion


def _check_captured_at(captured_at: datetime | None, patient: Patient, actor: Actor) -> datetime:
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


def _score(model: Classifier, image: Image.Image) -> ModelPrediction:
    try:
        return model.predict(image)
    except ModelIntegrityError as error:
        raise UnavailableError(
            "The model gave no usable answer, so the photograph was not taken in. Tell your engineer."
        ) from error


def _decode(upload: bytes) -> Image.Image:
    try:
        return decode_image(upload, long_side_px=STORED_LONG_SIDE_PX)
    except UnreadableImageError as error:
        raise InvalidInputError(str(error), fields={"image": [str(error)]}) from error


def _encode(image: Image.Image) -> bytes:
    """A JPEG of the pixels alone: no metadata, no comment."""
    # Pillow lets go of Python's lock only when it encodes into a real file.
    with tempfile.TemporaryFile() as file:
        image.save(file, "JPEG", quality=STORED_JPEG_QUALITY, subsampling="4:2:0")
        file.seek(0)
        return file.read()


def _store(image: Image.Image, store: ImageStore) -> _StoredFile:
    content = _encode(image)
    sha256 = hashlib.sha256(content).hexdigest()
    # The digest lets the file be checked without the database; the random part makes it this row's own.
    key = f"{sha256}-{uuid.uuid4().hex}.jpg"
    store.save(content, key=key)
    return _StoredFile(storage_key=key, sha256=sha256, size_bytes=len(content))


def _discard(storing: Future[_StoredFile], store: ImageStore) -> None:
    """Remove the file of an examination that was not kept; one that could not be stored left nothing."""
    if storing.exception() is None:
        store.delete(key=storing.result().storage_key)


def _keep(prediction: Prediction, actor: Actor) -> None:
    """Rows and audit entry in one transaction."""
    lesion_image = prediction.lesion_image
    db.session.add(prediction)
    record_event(
        action=AuditAction.IMAGE_ADDED,
        actor=actor,
        subject_public_id=lesion_image.public_id,
        patient=lesion_image.lesion.patient,
        details={"prediction": str(prediction.public_id)},
    )
    db.session.commit()
