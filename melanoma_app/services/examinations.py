"""Examinations: take a photograph in, score it, and keep both."""

from __future__ import annotations

import hashlib
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as datetime_time
from typing import Final
from zoneinfo import ZoneInfo

from flask import current_app
from PIL import Image

from melanoma_app.errors import ConflictError, InvalidInputError, QualityRefusedError, UnavailableError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import Lesion, LesionImage, Patient, Prediction
from melanoma_app.models.base import utc_now
from melanoma_app.models.lesion import LARGEST_LESION_MM, QUALITY_OVERRIDE_LENGTH
from melanoma_app.models.vocabulary import AuditAction, ImageType
from melanoma_app.security.upload_guard import check_upload
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.image_files import (
    STORED_LONG_SIDE_PX,
    ImageFiles,
    decode_stored_image,
    discard_image_files,
    read_image_file,
    store_image_files,
)
from melanoma_app.services.lesion_images import ImageRecord, find_lesion_image
from melanoma_app.services.lesions import find_lesion
from melanoma_app.services.model_activation import find_active_pin, load_active_model
from melanoma_app.services.model_answers import ModelAnswer, ask_model, make_prediction, may_model_look
from melanoma_app.services.patients import clinic_day
from melanoma_app.services.text import tidy_text
from ml.inference import Classifier, UnreadableImageError, decode_image

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far ahead of ours a camera's clock may run."""


@dataclass(frozen=True, kw_only=True)
class _Photograph:
    """A photograph as it came in, checked, before it is decoded."""

    upload: bytes
    image_type: ImageType
    captured_at: datetime
    clin_size_long_diam_mm: float | None
    quality_override_reason: str


def record_examination(
    *,
    lesion_public_id: uuid.UUID,
    upload: bytes,
    image_type: ImageType,
    actor: Actor,
    captured_at: datetime | None = None,
    clin_size_long_diam_mm: float | None = None,
    quality_override_reason: str = "",
) -> ImageRecord:
    """Take a photograph of a lesion in: check, decode, judge, score, store it re-encoded, and keep the prediction.

    A model looks only after the patient has agreed to it; without that the photograph is taken in with no answer and
    no verdict on its quality, and the model is not even asked. What the quality gate stops is taken in only with a
    reason, which is kept beside the findings; a reason that was not needed is dropped.

    No transaction is open while the image is decoded and scored. Photograph, thumbnail, rows and audit entry are kept
    together or not at all. The model is the one that is active when the request comes; a switch while it is at work
    does not change what scores, and the prediction names the one that did.

    Args:
        lesion_public_id: The lesion that was photographed.
        upload: The file as it came.
        image_type: How it was taken.
        actor: Who sends it.
        captured_at: When it was taken (aware), if that was earlier than now.
        clin_size_long_diam_mm: The lesion's longest diameter on that day, above 0 and up to 500.
        quality_override_reason: Why a photograph that is not good enough must do, up to 500 characters.

    Raises:
        NotFoundError: The clinic has no such lesion.
        ConflictError: The patient has refused care.
        QualityRefusedError: The quality gate stops it, and there is no reason to take it all the same.
        InvalidInputError: The file is empty, damaged or truncated, the time cannot be right, the size cannot be, or
            the reason is too long.
        UnsupportedImageError: The file is neither JPEG nor PNG.
        TooLargeError: The file or its picture is too large.
        UnavailableError: The model or the image store does not work at present.
    """
    lesion = find_lesion(public_id=lesion_public_id, actor=actor)
    _check_care(lesion.patient)
    photograph = _Photograph(
        upload=upload,
        image_type=image_type,
        captured_at=_check_captured_at(captured_at, lesion.patient, actor),
        clin_size_long_diam_mm=_check_size(clin_size_long_diam_mm),
        quality_override_reason=_check_override_reason(quality_override_reason),
    )
    may_look, pin = may_model_look(lesion.patient), find_active_pin()
    db.session.commit()

    check_upload(
        upload,
        max_upload_mb=current_app.config["MAX_UPLOAD_MB"],
        max_image_megapixels=current_app.config["MAX_IMAGE_MEGAPIXELS"],
    )
    model = load_active_model(pin=pin) if may_look else None
    started = time.perf_counter()
    image = _decode(upload)
    with ThreadPoolExecutor(max_workers=2) as helpers:
        # The files are encoded and flushed to the medium beside the network.
        storing = helpers.submit(store_image_files, image=image, store=image_storage.store)
        try:
            answer = _judge_and_score(model, image, helpers, photograph) if model else None
            latency_s = time.perf_counter() - started
            return _keep(lesion, photograph, image, storing.result(), answer, latency_s, actor)
        except BaseException:
            db.session.rollback()
            discard_image_files(storing=storing, store=image_storage.store)
            raise


def score_image(*, image_public_id: uuid.UUID, actor: Actor) -> Prediction:
    """Let the model that is active now score a photograph that is stored already; the answer is a row of its own.

    Consent is needed as for a new photograph. The quality gate's verdict is kept where none was made yet; it stops
    nothing, for the photograph is on record.

    Returns:
        The prediction; its `image_sha256` is that of the stored bytes, which were scored.

    Raises:
        NotFoundError: The clinic has no such photograph.
        ConflictError: The patient has not agreed to analysis by a model.
        UnavailableError: The model or the image store does not work at present.
    """
    lesion_image = find_lesion_image(public_id=image_public_id, actor=actor)
    _check_may_look(lesion_image.lesion.patient)
    pin = find_active_pin()
    db.session.commit()

    try:
        model = load_active_model(pin=pin)
    except UnavailableError as error:
        raise UnavailableError(
            "The model cannot be used at present, so nothing was scored. Tell your engineer."
        ) from error.__cause__
    started = time.perf_counter()
    content = read_image_file(
        key=lesion_image.storage_key, sha256=lesion_image.sha256, store=image_storage.store
    )
    with ThreadPoolExecutor(max_workers=1) as helpers:
        answer = ask_model(model=model, image=decode_stored_image(content), helpers=helpers)
    prediction = make_prediction(
        answer=answer,
        image_sha256=lesion_image.sha256,
        latency_s=time.perf_counter() - started,
        actor=actor,
    )
    patient = lesion_image.lesion.patient
    db.session.refresh(patient)
    _check_may_look(patient)
    prediction.lesion_image = lesion_image
    if lesion_image.quality is None:
        lesion_image.quality = answer.quality
    db.session.add(prediction)
    record_event(
        action=AuditAction.IMAGE_SCORED,
        actor=actor,
        subject_public_id=lesion_image.public_id,
        patient=patient,
        details={"prediction": str(prediction.public_id)},
    )
    db.session.commit()
    return prediction


def captured_on_day(day: date | None, *, actor: Actor) -> datetime | None:
    """The moment that stands for a day on which a photograph was taken: noon in the clinic, or now for today."""
    if day is None or day == clinic_day(utc_now(), actor=actor):
        return None
    return datetime.combine(day, datetime_time(12), tzinfo=ZoneInfo(actor.user.clinic.time_zone))


def _check_care(patient: Patient) -> None:
    if patient.consent_to_care is False:
        raise ConflictError(
            "The patient has refused care, so the photograph was not taken in. "
            "If they have changed their mind, record it on the patient's page first."
        )


def _check_may_look(patient: Patient) -> None:
    if not may_model_look(patient):
        raise ConflictError(
            "The patient has not agreed to analysis by a model, so nothing was scored. "
            "If they agree, record it on the patient's page first."
        )


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


def _check_size(size_mm: float | None) -> float | None:
    if size_mm is None or 0 < size_mm <= LARGEST_LESION_MM:
        return size_mm
    problem = f"A lesion's longest diameter is above 0 and up to {LARGEST_LESION_MM} mm. Correct it, or leave it out."
    raise InvalidInputError(problem, fields={"clin_size_long_diam_mm": [problem]})


def _check_override_reason(reason: str) -> str:
    tidy = tidy_text(reason)
    if len(tidy) > QUALITY_OVERRIDE_LENGTH:
        problem = f"The reason has more than {QUALITY_OVERRIDE_LENGTH} characters. Shorten it."
        raise InvalidInputError(problem, fields={"quality_override_reason": [problem]})
    return tidy


def _judge_and_score(
    model: Classifier, image: Image.Image, helpers: ThreadPoolExecutor, photograph: _Photograph
) -> ModelAnswer:
    answer = ask_model(model=model, image=image, helpers=helpers)
    if answer.findings and not photograph.quality_override_reason:
        raise QualityRefusedError(answer.findings)
    return answer


def _decode(upload: bytes) -> Image.Image:
    try:
        return decode_image(upload, long_side_px=STORED_LONG_SIDE_PX)
    except UnreadableImageError as error:
        raise InvalidInputError(str(error), fields={"image": [str(error)]}) from error


def _keep(
    lesion: Lesion,
    photograph: _Photograph,
    image: Image.Image,
    files: ImageFiles,
    answer: ModelAnswer | None,
    latency_s: float,
    actor: Actor,
) -> ImageRecord:
    """Rows and audit entry in one transaction; what the patient agrees to is asked again just before."""
    upload_sha256 = hashlib.sha256(photograph.upload).hexdigest()
    prediction = (
        make_prediction(answer=answer, image_sha256=upload_sha256, latency_s=latency_s, actor=actor)
        if answer
        else None
    )
    lesion = _look_again(lesion, actor)
    _check_care(lesion.patient)
    if not may_model_look(lesion.patient):
        answer = prediction = None
    findings = [finding.issue.value for finding in answer.findings] if answer else []
    lesion_image = LesionImage(
        public_id=uuid.uuid4(),
        lesion=lesion,
        upload_sha256=upload_sha256,
        width_px=image.width,
        height_px=image.height,
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
    )
    db.session.commit()
    return ImageRecord(image=lesion_image, prediction=prediction, review=None)


def _look_again(lesion: Lesion, actor: Actor) -> Lesion:
    """The lesion and its patient as they stand now: somebody may have changed them while the model was at work."""
    public_id = lesion.public_id
    db.session.expire(lesion.patient)
    db.session.expire(lesion)
    return find_lesion(public_id=public_id, actor=actor)
