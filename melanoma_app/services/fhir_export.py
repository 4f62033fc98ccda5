"""One patient's record as a FHIR R4 Bundle, for another system to take over."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from melanoma_app.extensions import db
from melanoma_app.models import (
    Addendum,
    Histopathology,
    Lesion,
    LesionImage,
    Patient,
    Prediction,
    Review,
)
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.fhir_resources import (
    Resource,
    describe_histopathology,
    describe_image,
    describe_lesion,
    describe_patient,
    describe_prediction,
    describe_report,
)
from melanoma_app.services.patient_merges import list_merges_into
from melanoma_app.services.patients import find_patient

FHIR_JSON: Final = "application/fhir+json"


@dataclass(frozen=True, kw_only=True)
class _Record:
    """Everything of a patient's that is exported, in the order of lesions and of time."""

    patient: Patient
    former_mrns: Sequence[str]
    lesions: Sequence[Lesion]
    images: Sequence[LesionImage]
    predictions: Sequence[Prediction]
    reviews: Sequence[Review]
    histopathology: Sequence[Histopathology]


def export_patient(*, public_id: uuid.UUID, actor: Actor) -> dict[str, Any]:
    """A patient's record as a FHIR R4 Bundle (a collection) of plain dictionaries, ready to be written as JSON.

    It is written as dictionaries and not with a FHIR library: the resources are few and only ever written, and a
    library of models would bring a second validation into the web process. The tests hold every Bundle to such a
    library instead (fhir.resources, R4B: what is used here is the same in R4).

    Every lesion, photograph and prediction is in it, each photograph's report and the newest laboratory report of each
    lesion. Every reference resolves inside the Bundle. It is audited as an export.

    Raises:
        NotFoundError: The clinic has no such patient.
        ConflictError: The record was merged into another one, which is the one to export.
    """
    record = _load(find_patient(public_id=public_id, actor=actor))
    bundle = _make_bundle(record)
    record_event(
        action=AuditAction.RECORDS_EXPORTED,
        actor=actor,
        subject_public_id=public_id,
        patient=record.patient,
        details={
            "format": "fhir",
            "lesions": len(record.lesions),
            "images": len(record.images),
            "predictions": len(record.predictions),
        },
    )
    db.session.commit()
    return bundle


def make_bundle(*, patient: Patient) -> dict[str, Any]:
    """The same Bundle for a service that audits the export itself, and commits."""
    return _make_bundle(_load(patient))


def _make_bundle(record: _Record) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": utc_now().isoformat(),
        "entry": [
            {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in _describe(record)
        ],
    }


def _load(patient: Patient) -> _Record:
    """Read it all in a number of queries that does not grow with the record."""
    images_of_patient = select(LesionImage.id).join(LesionImage.lesion).where(Lesion.patient_id == patient.id)
    return _Record(
        patient=patient,
        former_mrns=[merge.merged.mrn for merge in list_merges_into(patient)],
        lesions=db.session.scalars(
            select(Lesion).where(Lesion.patient_id == patient.id).order_by(Lesion.number)
        ).all(),
        images=db.session.scalars(
            select(LesionImage)
            .join(LesionImage.lesion)
            .where(Lesion.patient_id == patient.id)
            .order_by(Lesion.number, LesionImage.captured_at, LesionImage.id)
            .options(joinedload(LesionImage.created_by))
        ).all(),
        predictions=db.session.scalars(
            select(Prediction)
            .where(Prediction.lesion_image_id.in_(images_of_patient))
            .order_by(Prediction.id)
            .options(joinedload(Prediction.model_version))
        ).all(),
        reviews=db.session.scalars(
            select(Review)
            .where(Review.lesion_image_id.in_(images_of_patient))
            .options(
                joinedload(Review.signed_by), selectinload(Review.addenda).joinedload(Addendum.written_by)
            )
        ).all(),
        histopathology=db.session.scalars(
            select(Histopathology)
            .join(Histopathology.lesion)
            .where(Lesion.patient_id == patient.id)
            .order_by(Histopathology.id)
        ).all(),
    )


def _describe(record: _Record) -> Iterator[Resource]:
    patient = record.patient
    lesions = {lesion.id: lesion for lesion in record.lesions}
    images = {image.id: image for image in record.images}
    yield describe_patient(patient, former_mrns=record.former_mrns)
    for lesion in record.lesions:
        yield describe_lesion(lesion, patient=patient)
    for image in record.images:
        yield describe_image(image, lesion=lesions[image.lesion_id], patient=patient)
    for prediction in record.predictions:
        image = images[prediction.lesion_image_id]
        yield describe_prediction(prediction, image=image, lesion=lesions[image.lesion_id], patient=patient)
    yield from _describe_reports(record)
    yield from _describe_histopathology(record.histopathology, lesions=lesions, patient=patient)


def _describe_reports(record: _Record) -> Iterator[Resource]:
    """A report of every photograph: on the signed answer, or on the newest while nobody has signed."""
    predictions = {prediction.id: prediction for prediction in record.predictions}
    newest = {prediction.lesion_image_id: prediction for prediction in record.predictions}
    reviews = {review.lesion_image_id: review for review in record.reviews}
    for image in record.images:
        review = reviews.get(image.id)
        result = newest.get(image.id) if review is None else predictions.get(review.prediction_id or 0)
        yield describe_report(image, review=review, result=result, patient=record.patient)


def _describe_histopathology(
    reports: Sequence[Histopathology], *, lesions: dict[int, Lesion], patient: Patient
) -> Iterator[Resource]:
    """The newest laboratory report of each lesion: the one that counts."""
    newest = {report.lesion_id: report for report in reports}
    written = Counter(report.lesion_id for report in reports)
    for lesion_id, report in newest.items():
        yield describe_histopathology(
            report, lesion=lesions[lesion_id], patient=patient, is_corrected=written[lesion_id] > 1
        )
