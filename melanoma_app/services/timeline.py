"""A patient's timeline: everything that happened, newest first."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import contains_eager, joinedload

from melanoma_app.extensions import db
from melanoma_app.models import (
    Addendum,
    Checklist,
    ConsentDecision,
    FirstRead,
    Histopathology,
    Lesion,
    LesionImage,
    Patient,
    PatientMerge,
    Prediction,
    Review,
)
from melanoma_app.models.checklist import ABCDE
from melanoma_app.models.vocabulary import ConsentPurpose
from melanoma_app.services.actor import Actor
from melanoma_app.services.consent_purposes import CONSENT_LABELS
from melanoma_app.services.consents import list_consent_decisions
from melanoma_app.services.lesions import PatientRecord, read_patient_record

NEWEST_ENTRIES: Final = 50
"""How many a page shows before somebody asks for all of them."""


class TimelineKind(StrEnum):
    """What an entry tells of."""

    REGISTERED = "registered"
    CONSENT = "consent"
    LESION = "lesion"
    PHOTOGRAPH = "photograph"
    FIRST_READ = "first_read"
    CHECKLIST = "checklist"
    REVIEW = "review"
    ADDENDUM = "addendum"
    HISTOPATHOLOGY = "histopathology"
    MERGE = "merge"


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One thing that happened.

    Args:
        kind: What.
        happened_at: When; for a photograph when it was taken, else when it was recorded.
        title: In a few words.
        text: More, in people's own words where they gave any.
        by: Who did it; empty where that is not kept.
        day: A date that belongs to it: when monitoring is due, when a laboratory reported.
        lesion: The lesion it is about.
        image: The photograph it is about.
        prediction: What a model said of a photograph.
    """

    kind: TimelineKind
    happened_at: datetime
    title: str
    text: str = ""
    by: str = ""
    day: date | None = None
    lesion: Lesion | None = None
    image: LesionImage | None = None
    prediction: Prediction | None = None

    @property
    def lesion_number(self) -> int | None:
        """The lesion's number within the patient."""
        return self.lesion.number if self.lesion else None


@dataclass(frozen=True, kw_only=True)
class TimelineDay:
    """The entries of a day, newest first."""

    day: date
    entries: Sequence[TimelineEntry]


def list_timeline(*, patient_public_id: uuid.UUID, actor: Actor) -> Sequence[TimelineEntry]:
    """Everything that happened to a patient, newest first; the reading is audited.

    Raises:
        NotFoundError: The clinic has no such patient.
        ConflictError: The patient was merged into another record.
    """
    record = read_patient_record(public_id=patient_public_id, actor=actor)
    return gather_timeline(record=record, decisions=list_consent_decisions(patient=record.patient))


def gather_timeline(*, record: PatientRecord, decisions: Sequence[ConsentDecision]) -> list[TimelineEntry]:
    """The timeline of a record whose reading has been audited, in five queries however long it is.

    Args:
        record: The patient with lesions, photographs, answers and reviews.
        decisions: The answers about consents, newest first.
    """
    patient = record.patient
    entries = [
        TimelineEntry(kind=TimelineKind.REGISTERED, happened_at=patient.created_at, title="Registered"),
        *_consents(decisions),
        *_lesions(record),
        *_first_reads(patient),
        *_checklists(patient),
        *_addenda(patient),
        *_histopathology(patient),
        *_merges(patient),
    ]
    # Sorted, then reversed: of what happened at one moment, what came first stands below.
    entries.sort(key=lambda entry: entry.happened_at)
    entries.reverse()
    return entries


def group_by_day(entries: Iterable[TimelineEntry], *, patient: Patient) -> list[TimelineDay]:
    """Entries, newest first, by the day they happened on where the clinic is."""
    zone = ZoneInfo(patient.clinic.time_zone)
    return [
        TimelineDay(day=day, entries=list(of_the_day))
        for day, of_the_day in groupby(entries, key=lambda entry: entry.happened_at.astimezone(zone).date())
    ]


def _consents(decisions: Sequence[ConsentDecision]) -> Iterator[TimelineEntry]:
    given: dict[ConsentPurpose, bool] = {}
    for decision in reversed(decisions):
        word = "given" if decision.is_given else "withdrawn" if given.get(decision.purpose) else "refused"
        given[decision.purpose] = decision.is_given
        yield TimelineEntry(
            kind=TimelineKind.CONSENT,
            happened_at=decision.decided_at,
            title=f"Consent to {CONSENT_LABELS[decision.purpose]} {word}",
            by=decision.recorded_by.display_name,
        )


def _lesions(record: PatientRecord) -> Iterator[TimelineEntry]:
    """The lesions with their photographs and reviews."""
    for one in record.lesions:
        yield TimelineEntry(
            kind=TimelineKind.LESION,
            happened_at=one.lesion.created_at,
            title=f"Lesion {one.lesion.number} added",
            text=one.lesion.anatom_site_general.capitalize(),
            lesion=one.lesion,
        )
        for shown in one.images:
            diameter = shown.image.clin_size_long_diam_mm
            yield TimelineEntry(
                kind=TimelineKind.PHOTOGRAPH,
                happened_at=shown.image.captured_at,
                title=f"Lesion {one.lesion.number} photographed",
                text=shown.image.image_type.capitalize() + (f", {diameter:g} mm" if diameter else ""),
                lesion=one.lesion,
                image=shown.image,
                prediction=shown.prediction,
            )
            if shown.review:
                yield _review(shown.review, one.lesion, shown.image, shown.prediction)


def _review(
    review: Review, lesion: Lesion, image: LesionImage, prediction: Prediction | None
) -> TimelineEntry:
    texts = (review.clinical_diagnosis, review.reason)
    is_overriding = prediction is not None and prediction.label != review.conclusion
    return TimelineEntry(
        kind=TimelineKind.REVIEW,
        happened_at=review.signed_at,
        title=f"Lesion {lesion.number} reviewed: {review.conclusion}"
        f"{', overriding the model' if is_overriding else ''}; plan: {review.plan}",
        text=". ".join(text for text in texts if text),
        by=review.signed_by.display_name,
        day=review.due_on,
        lesion=lesion,
        image=image,
    )


def _first_reads(patient: Patient) -> Iterator[TimelineEntry]:
    reads = db.session.scalars(
        select(FirstRead)
        .join(FirstRead.lesion_image)
        .join(LesionImage.lesion)
        .where(Lesion.patient_id == patient.id)
        .order_by(FirstRead.id)
        .options(
            contains_eager(FirstRead.lesion_image).contains_eager(LesionImage.lesion),
            joinedload(FirstRead.read_by),
        )
    )
    for read in reads:
        blind = "after the model's answer" if read.answer_was_shown else "before the model's answer"
        yield TimelineEntry(
            kind=TimelineKind.FIRST_READ,
            happened_at=read.read_at,
            title=f"First read of lesion {read.lesion_image.lesion.number}: {read.impression}, {blind}",
            text=read.note,
            by=read.read_by.display_name,
            lesion=read.lesion_image.lesion,
            image=read.lesion_image,
        )


def _checklists(patient: Patient) -> Iterator[TimelineEntry]:
    checklists = db.session.scalars(
        select(Checklist)
        .join(Checklist.lesion_image)
        .join(LesionImage.lesion)
        .where(Lesion.patient_id == patient.id)
        .order_by(Checklist.id)
        .options(
            contains_eager(Checklist.lesion_image).contains_eager(LesionImage.lesion),
            joinedload(Checklist.recorded_by),
        )
    )
    for checklist in checklists:
        found = []
        if checklist.abcde_count is not None:
            found.append(f"ABCDE: {checklist.abcde_count} of {len(ABCDE)}")
        if checklist.seven_point_score is not None:
            flag = ", suspicious" if checklist.is_suspicious else ""
            found.append(f"seven-point score {checklist.seven_point_score}{flag}")
        yield TimelineEntry(
            kind=TimelineKind.CHECKLIST,
            happened_at=checklist.recorded_at,
            title=f"Checklist of lesion {checklist.lesion_image.lesion.number}",
            text="; ".join(found),
            by=checklist.recorded_by.display_name,
            lesion=checklist.lesion_image.lesion,
            image=checklist.lesion_image,
        )


def _addenda(patient: Patient) -> Iterator[TimelineEntry]:
    addenda = db.session.scalars(
        select(Addendum)
        .join(Addendum.review)
        .join(Review.lesion_image)
        .join(LesionImage.lesion)
        .where(Lesion.patient_id == patient.id)
        .order_by(Addendum.id)
        .options(
            contains_eager(Addendum.review)
            .contains_eager(Review.lesion_image)
            .contains_eager(LesionImage.lesion),
            joinedload(Addendum.written_by),
        )
    )
    for addendum in addenda:
        image = addendum.review.lesion_image
        yield TimelineEntry(
            kind=TimelineKind.ADDENDUM,
            happened_at=addendum.written_at,
            title=f"Addendum to the review of lesion {image.lesion.number}",
            text=addendum.text,
            by=addendum.written_by.display_name,
            lesion=image.lesion,
            image=image,
        )


def _histopathology(patient: Patient) -> Iterator[TimelineEntry]:
    reports = db.session.scalars(
        select(Histopathology)
        .join(Histopathology.lesion)
        .where(Lesion.patient_id == patient.id)
        .order_by(Histopathology.id)
        .options(contains_eager(Histopathology.lesion), joinedload(Histopathology.recorded_by))
    )
    for report in reports:
        thickness = report.breslow_thickness_mm
        yield TimelineEntry(
            kind=TimelineKind.HISTOPATHOLOGY,
            happened_at=report.recorded_at,
            title=f"Histopathology of lesion {report.lesion.number}: {report.outcome}",
            text=report.diagnosis + (f", Breslow thickness {thickness:g} mm" if thickness else ""),
            by=report.recorded_by.display_name,
            day=report.reported_on,
            lesion=report.lesion,
        )


def _merges(patient: Patient) -> Iterator[TimelineEntry]:
    """Merges into this record, and those of this record that were undone."""
    merges = db.session.scalars(
        select(PatientMerge)
        .where(or_(PatientMerge.kept_id == patient.id, PatientMerge.merged_id == patient.id))
        .order_by(PatientMerge.id)
        .options(
            joinedload(PatientMerge.kept),
            joinedload(PatientMerge.merged),
            joinedload(PatientMerge.merged_by),
        )
    )
    for merge in merges:
        is_kept = merge.kept_id == patient.id
        other = merge.merged if is_kept else merge.kept
        direction = (
            f"Record {other.mrn} merged into this one" if is_kept else f"Merged into record {other.mrn}"
        )
        yield TimelineEntry(
            kind=TimelineKind.MERGE,
            happened_at=merge.merged_at,
            title=direction,
            text=merge.reason,
            by=merge.merged_by.display_name,
        )
        if merge.reverted_at:
            yield TimelineEntry(
                kind=TimelineKind.MERGE,
                happened_at=merge.reverted_at,
                title=f"Merge with record {other.mrn} undone",
            )
