"""Examinations: take a photograph in, score it, and keep both."""

from __future__ import annotations

import hashlib
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, datetime
from datetime import time as datetime_time
from zoneinfo import ZoneInfo

from flask import current_app
from PIL import Image
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from melanoma_app.errors import ConflictError, InvalidInputError, QualityRefusedError, UnavailableError
from melanoma_app.extensions import db, decoding, image_storage, metrics
from melanoma_app.models import Lesion, LesionImage, Patient, Prediction
from melanoma_app.models.base import utc_now
from melanoma_app.models.lesion import QUALITY_OVERRIDE_LENGTH
from melanoma_app.models.vocabulary import AuditAction, ImageType
from melanoma_app.security.upload_guard import check_upload
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.image_files import (
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
from melanoma_app.services.photographs import (
    Photograph,
    check_captured_at,
    check_care,
    check_size,
    decode_upload,
    enter_photograph,
    find_same_photograph,
)
from melanoma_app.services.text import tidy_text
from ml.inference import Classifier


@metrics.counting_refusals()
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
    reason, which is kept beside the findings; a reason that was not needed is dropped. A file that is on record for
    the lesion already is not taken in twice: whoever was not answered may send it again, and gets that record.

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
        ConflictError: The patient has refused care, or the same file is on record with other details.
        QualityRefusedError: The quality gate stops it, and there is no reason to take it all the same.
        InvalidInputError: The file is empty, damaged or truncated, the time cannot be right, the size cannot be, or
            the reason is too long.
        UnsupportedImageError: The file is neither JPEG nor PNG.
        TooLargeError: The file or its picture is too large.
        BusyError: As many photographs as may be are decoded already.
        UnavailableError: The model or the image store does not work at present.
    """
    upload_sha256 = hashlib.sha256(upload).hexdigest()
    lesion = find_lesion(public_id=lesion_public_id, actor=actor)
    check_care(lesion.patient)
    photograph = Photograph(
        upload_sha256=upload_sha256,
        image_type=image_type,
        captured_at=check_captured_at(captured_at, patient=lesion.patient, actor=actor),
        clin_size_long_diam_mm=check_size(clin_size_long_diam_mm),
        quality_override_reason=_check_override_reason(quality_override_reason),
    )
    if known := find_same_photograph(lesion=lesion, photograph=photograph):
        return _give_again(known, lesion, actor)
    may_look, pin = may_model_look(lesion.patient), find_active_pin()
    db.session.commit()

    check_upload(
        upload,
        max_upload_mb=current_app.config["MAX_UPLOAD_MB"],
        max_image_megapixels=current_app.config["MAX_IMAGE_MEGAPIXELS"],
    )
    with decoding.slot(), ThreadPoolExecutor(max_workers=1) as helper:
        model = load_active_model(pin=pin) if may_look else None
        started = time.perf_counter()
        image = decode_upload(upload)
        # The files are encoded and flushed to the medium beside the network.
        storing = helper.submit(store_image_files, image=image, store=image_storage.store)
        try:
            answer = _judge_and_score(model, image, photograph) if model else None
            latency_s = time.perf_counter() - started
            record = _keep(lesion, photograph, image, storing.result(), answer, latency_s, actor)
        except DBAPIError:
            db.session.rollback()
            if not _may_be_on_record(storing):
                discard_image_files(storing=storing, store=image_storage.store)
            raise
        except BaseException:
            db.session.rollback()
            discard_image_files(storing=storing, store=image_storage.store)
            raise
        if record.image.storage_key != storing.result().storage_key:  # the same file came twice at once
            discard_image_files(storing=storing, store=image_storage.store)
        return record


def score_image(*, image_public_id: uuid.UUID, actor: Actor) -> Prediction:
    """Let the model that is active now score a photograph that is stored already; the answer is a row of its own.

    Consent is needed as for a new photograph. The quality gate's verdict is kept where none was made yet; it stops
    nothing, for the photograph is on record.

    Returns:
        The prediction; its `image_sha256` is that of the stored bytes, which were scored.

    Raises:
        NotFoundError: The clinic has no such photograph.
        ConflictError: The patient has not agreed to analysis by a model.
        BusyError: As many photographs as may be are decoded already.
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
    content = read_image_file(
        key=lesion_image.storage_key, sha256=lesion_image.sha256, store=image_storage.store
    )
    with decoding.slot():
        started = time.perf_counter()
        answer = ask_model(model=model, image=decode_stored_image(content))
    prediction = make_prediction(
        answer=answer,
        image_sha256=lesion_image.sha256,
        latency_s=time.perf_counter() - started,
        actor=actor,
    )
    patient = _look_again(lesion_image.lesion, actor).patient
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
    recount_patients(patient_ids=[patient.id], clinic_id=patient.clinic_id)
    db.session.commit()
    return prediction


def captured_on_day(day: date | None, *, actor: Actor) -> datetime | None:
    """The moment that stands for a day on which a photograph was taken: noon in the clinic, or now for today."""
    if day is None or day == clinic_day(utc_now(), actor=actor):
        return None
    return datetime.combine(day, datetime_time(12), tzinfo=ZoneInfo(actor.user.clinic.time_zone))


def _check_may_look(patient: Patient) -> None:
    if not may_model_look(patient):
        raise ConflictError(
            "The patient has not agreed to analysis by a model, so nothing was scored. "
            "If they agree, record it on the patient's page first."
        )


def _check_override_reason(reason: str) -> str:
    tidy = tidy_text(reason)
    if len(tidy) > QUALITY_OVERRIDE_LENGTH:
        problem = f"The reason has more than {QUALITY_OVERRIDE_LENGTH} characters. Shorten it."
        raise InvalidInputError(problem, fields={"quality_override_reason": [problem]})
    return tidy


def _judge_and_score(model: Classifier, image: Image.Image, photograph: Photograph) -> ModelAnswer:
    answer = ask_model(model=model, image=image)
    if answer.findings and not photograph.quality_override_reason:
        raise QualityRefusedError(answer.findings)
    return answer


def _keep(
    lesion: Lesion,
    photograph: Photograph,
    image: Image.Image,
    files: ImageFiles,
    answer: ModelAnswer | None,
    latency_s: float,
    actor: Actor,
) -> ImageRecord:
    """Rows and audit entry in one transaction; what the patient agrees to is asked again just before."""
    prediction = (
        make_prediction(
            answer=answer, image_sha256=photograph.upload_sha256, latency_s=latency_s, actor=actor
        )
        if answer
        else None
    )
    lesion = _look_again(lesion, actor)
    if known := find_same_photograph(lesion=lesion, photograph=photograph):
        return _give_again(known, lesion, actor)
    record = enter_photograph(
        lesion=lesion,
        photograph=photograph,
        size_px=image.size,
        files=files,
        answer=answer,
        prediction=prediction,
        actor=actor,
    )
    recount_patients(patient_ids=[lesion.patient_id], clinic_id=actor.clinic_id)
    db.session.commit()
    return record


def _give_again(known: ImageRecord, lesion: Lesion, actor: Actor) -> ImageRecord:
    """What is on record of a file that came before; that somebody got to see it is audited."""
    record_event(
        action=AuditAction.PREDICTION_READ if known.prediction else AuditAction.PATIENT_READ,
        actor=actor,
        subject_public_id=known.prediction.public_id if known.prediction else known.image.public_id,
        patient=lesion.patient,
    )
    db.session.commit()
    return known


def _may_be_on_record(storing: Future[ImageFiles]) -> bool:
    """Whether a row may name the files after the database failed: it may have committed without being able to say so.

    When it cannot be asked they stay: a file without a row is found and swept away, a row without a file is a loss.
    """
    if storing.exception() is not None:
        return False
    try:
        return (
            db.session.scalar(
                select(LesionImage.id).where(LesionImage.storage_key == storing.result().storage_key)
            )
            is not None
        )
    except DBAPIError:
        return True


def _look_again(lesion: Lesion, actor: Actor) -> Lesion:
    """The lesion and its patient as they stand now: somebody may have changed them while the model was at work."""
    public_id = lesion.public_id
    lock_chain(actor.clinic_id)
    db.session.expire(lesion.patient)
    db.session.expire(lesion)
    return find_lesion(public_id=public_id, actor=actor)
