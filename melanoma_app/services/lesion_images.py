"""Photographs of lesions, given out again: the picture, its thumbnail, and what was said of it."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import contains_eager, joinedload

from melanoma_app.errors import NotFoundError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import Lesion, LesionImage, Patient, Prediction, Review
from melanoma_app.models.prediction import is_latest_of_image
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.image_files import (
    decode_stored_image,
    digest_in,
    discard_files,
    read_image_file,
    store_thumbnail,
)


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """The bytes of an image as the store keeps them: always a JPEG of ours."""

    content: bytes
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """A photograph, the newest answer about it (None: no model looked) and its review (None: unsigned)."""

    image: LesionImage
    prediction: Prediction | None
    review: Review | None


def find_lesion_image(*, public_id: uuid.UUID, actor: Actor) -> LesionImage:
    """The clinic's photograph of that id, with its lesion and patient, for other services: nothing is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
    """
    lesion_image = db.session.scalars(
        select(LesionImage)
        .join(LesionImage.lesion)
        .join(Lesion.patient)
        .where(LesionImage.public_id == public_id, Patient.clinic_id == actor.clinic_id)
        .options(
            contains_eager(LesionImage.lesion).contains_eager(Lesion.patient),
            joinedload(LesionImage.created_by),
        )
    ).one_or_none()
    if lesion_image is None:
        raise NotFoundError("There is no such image in your clinic.")
    return lesion_image


def list_image_records(*, lesion_ids: Collection[int]) -> dict[int, list[ImageRecord]]:
    """The photographs of some lesions with their newest answers and reviews, in three queries.

    The caller has made sure that the actor may see the lesions, and audits the reading.

    Returns:
        One list a lesion asked for, newest photograph first. Loaded beside the rows: an image's lesion, a
        prediction's model version and who asked for it, who signed a review.
    """
    records: dict[int, list[ImageRecord]] = {lesion_id: [] for lesion_id in lesion_ids}
    if not records:
        return records
    of_these = LesionImage.lesion_id.in_(records)
    images = db.session.scalars(
        select(LesionImage)
        .where(of_these)
        .order_by(LesionImage.captured_at.desc(), LesionImage.id.desc())
        .options(joinedload(LesionImage.lesion))
    ).all()
    predictions = {
        prediction.lesion_image_id: prediction
        for prediction in db.session.scalars(
            select(Prediction)
            .join(Prediction.lesion_image)
            .where(of_these, is_latest_of_image())
            .options(
                contains_eager(Prediction.lesion_image),
                joinedload(Prediction.model_version),
                joinedload(Prediction.created_by),
            )
        )
    }
    reviews = {
        review.lesion_image_id: review
        for review in db.session.scalars(
            select(Review)
            .join(Review.lesion_image)
            .where(of_these)
            .options(contains_eager(Review.lesion_image), joinedload(Review.signed_by))
        )
    }
    for image in images:
        records[image.lesion_id].append(
            ImageRecord(image=image, prediction=predictions.get(image.id), review=reviews.get(image.id))
        )
    return records


def read_image(*, public_id: uuid.UUID, actor: Actor) -> StoredImage:
    """A stored photograph, checked against its digest; the reading is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
        UnavailableError: The file is gone or is no longer what was stored.
    """
    lesion_image = find_lesion_image(public_id=public_id, actor=actor)
    key, sha256 = lesion_image.storage_key, lesion_image.sha256
    record_event(
        action=AuditAction.IMAGE_READ,
        actor=actor,
        subject_public_id=lesion_image.public_id,
        patient=lesion_image.lesion.patient,
    )
    db.session.commit()
    content = read_image_file(key=key, sha256=sha256, store=image_storage.store)
    return StoredImage(content=content, sha256=sha256)


def read_thumbnail(*, public_id: uuid.UUID, actor: Actor) -> StoredImage:
    """The small copy of a photograph that lists show; one that is missing is made and kept.

    Thumbnails are not audited one by one: the page or list that shows them is (PATIENT_READ, PATIENTS_LISTED), and 200
    entries for one page would hold the chain's lock 200 times without telling more. The photograph itself is.

    Raises:
        NotFoundError: There is no such photograph, or none in the actor's clinic.
        UnavailableError: A file is gone, damaged, or cannot be stored.
    """
    lesion_image = find_lesion_image(public_id=public_id, actor=actor)
    key = lesion_image.thumbnail_key
    if key is None:
        key = _make_thumbnail(lesion_image)
    db.session.commit()
    sha256 = digest_in(key)
    return StoredImage(
        content=read_image_file(key=key, sha256=sha256, store=image_storage.store), sha256=sha256
    )


def _make_thumbnail(lesion_image: LesionImage) -> str:
    """Make and keep the thumbnail of a photograph from before there were any; the first of two at once stays."""
    store, image_id = image_storage.store, lesion_image.id
    key, sha256 = lesion_image.storage_key, lesion_image.sha256
    # No transaction stays open while the photograph is read, decoded and encoded.
    db.session.commit()
    image = decode_stored_image(read_image_file(key=key, sha256=sha256, store=store))
    made = store_thumbnail(image=image, store=store)
    try:
        is_missing = (LesionImage.id == image_id, LesionImage.thumbnail_key.is_(None))
        db.session.execute(update(LesionImage).where(*is_missing).values(thumbnail_key=made))
        db.session.commit()
        kept = db.session.scalars(
            select(LesionImage.thumbnail_key).where(LesionImage.id == image_id)
        ).one_or_none()
        if kept is None:  # the patient was erased meanwhile
            raise NotFoundError("There is no such image in your clinic.")
    except BaseException:
        db.session.rollback()
        discard_files(keys=[made], store=store)
        raise
    if kept != made:
        discard_files(keys=[made], store=store)
    return kept
