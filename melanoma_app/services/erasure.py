"""Erasure: a patient's whole record goes, the images too; what stays says that it was done, by whom and why.

GDPR Art. 17(1) gives the patient the right; Art. 17(3)(b) and (c) take it back while a law wants the record kept.
`docs/privacy.md` tells what stays and where traces outlast the erasure.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select

from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import (
    Addendum,
    Base,
    Checklist,
    ConsentDecision,
    FirstRead,
    Histopathology,
    Lesion,
    LesionImage,
    Patient,
    PatientErasure,
    Prediction,
    Review,
)
from melanoma_app.models.base import utc_now
from melanoma_app.models.connection import empty_write_ahead_log
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.counting import uncount_patients
from melanoma_app.services.file_removal import note_files, remove_noted_files
from melanoma_app.services.job_items import forget_images
from melanoma_app.services.patient_merges import list_merges_into
from melanoma_app.services.patient_rows import PatientRows
from melanoma_app.services.patients import clinic_day, find_patient, lock_patient
from melanoma_app.services.record_totals import add_to_totals
from melanoma_app.services.text import fold_text, tidy_mrn, tidy_paragraphs
from melanoma_app.services.upload_staging import forget_patient

DEFAULT_RETENTION_YEARS: Final = 10
"""After the end of the treatment: German Civil Code, section 630f(3). A clinic elsewhere sets its own law's number."""
REASON_LENGTH: Final = 500
"""Characters."""


@dataclass(frozen=True, kw_only=True)
class ErasureOutlook:
    """What an erasure would take, and whether it can be done today.

    Args:
        patient: Whose.
        counts: How many rows of each kind go, in words a person reads.
        last_entry_at: When something was last written into the record.
        retention_years: How long the record has to be kept after that.
        free_from: The day from which the record may go; None where it may go at any time.
        is_free: Whether that day has come.
        is_merged: Whether other records were merged into this one, which has to be undone first.
    """

    patient: Patient
    counts: Sequence[tuple[str, int]]
    last_entry_at: datetime
    retention_years: int
    free_from: date | None
    is_free: bool
    is_merged: bool


def read_erasure_outlook(*, public_id: uuid.UUID, actor: Actor) -> ErasureOutlook:
    """What an erasure of this patient would take; reading it is audited as reading the record.

    Raises:
        NotFoundError: The clinic has no such patient.
        MergedPatientError: The record was merged into another one.
    """
    patient = find_patient(public_id=public_id, actor=actor)
    outlook = _look_ahead(patient, actor)
    record_event(action=AuditAction.PATIENT_READ, actor=actor, subject_public_id=public_id, patient=patient)
    db.session.commit()
    return outlook


def erase_patient(
    *, public_id: uuid.UUID, mrn: str, reason: str, law_lets_it_go: bool = False, actor: Actor
) -> PatientErasure:
    """Erase a patient: the record in one transaction, its files right after.

    What stays: who erased it, when and on what ground (`PatientErasure`), and the audit entries, which hold ids and
    no names. While the clinic's retention period runs, the record stays unless somebody says that the law lets it go
    earlier. A record without a photograph and without a laboratory report, such as one registered by mistake, can go
    at any time. A record that others were merged into stays until the merges are undone: whose lesions are whose
    would be decided for good.

    Args:
        public_id: Whose.
        mrn: The patient's, typed by hand, so that nobody erases by a slip.
        reason: The ground, up to 500 characters, without the patient's name: it outlasts the record.
        law_lets_it_go: Whether the law lets the record go before the retention period is over.
        actor: Who erases.

    Raises:
        NotFoundError: The clinic has no such patient.
        InvalidInputError: The MRN is another one, or the reason is missing, too long, or names the patient.
        ConflictError: The record has to be kept still, or is part of a merge; nothing is changed.
    """
    patient = lock_patient(public_id=public_id, actor=actor)
    reason = _check_request(patient, mrn=mrn, reason=reason)
    _check_may_go(_look_ahead(patient, actor), law_lets_it_go=law_lets_it_go)
    of_patient = PatientRows(patient.id)
    lesions, images = _count(Lesion, of_patient.lesions), _count(LesionImage, of_patient.images)
    erasure = PatientErasure(
        public_id=uuid.uuid4(),
        clinic_id=patient.clinic_id,
        patient_public_id=patient.public_id,
        reason=reason,
        lesions=lesions,
        lesion_images=images,
        erased_by_id=actor.user.id,
    )
    db.session.add(erasure)
    note_files(keys=_read_keys(of_patient))
    uncount_patients(patient_ids=[patient.id], clinic_id=patient.clinic_id)
    forget_images(of_images=of_patient.images)
    forget_patient(patient_id=patient.id)
    _delete_rows(of_patient)
    record_event(
        action=AuditAction.PATIENT_ERASED,
        actor=actor,
        subject_public_id=erasure.public_id,
        patient=patient,
        details={"lesions": lesions, "images": images, "before_the_period_ended": law_lets_it_go},
    )
    add_to_totals(clinic_id=patient.clinic_id, patients=-1, lesions=-lesions)
    db.session.expunge(patient)
    db.session.commit()
    remove_noted_files(store=image_storage.store)
    empty_write_ahead_log(db.engine)
    return erasure


_WORDS: Final[Sequence[tuple[str, type[Base]]]] = (
    ("Lesions", Lesion),
    ("Photographs", LesionImage),
    ("Model answers", Prediction),
    ("Own impressions", FirstRead),
    ("Checklists", Checklist),
    ("Signed reviews", Review),
    ("Addenda", Addendum),
    ("Laboratory reports", Histopathology),
    ("Answers about consent", ConsentDecision),
)
_WRITTEN_AT: Final = (
    (Patient, Patient.updated_at),
    (Lesion, Lesion.created_at),
    (LesionImage, LesionImage.created_at),
    (Prediction, Prediction.created_at),
    (FirstRead, FirstRead.read_at),
    (Checklist, Checklist.recorded_at),
    (Review, Review.signed_at),
    (Addendum, Addendum.written_at),
    (Histopathology, Histopathology.recorded_at),
    (ConsentDecision, ConsentDecision.decided_at),
)


def _look_ahead(patient: Patient, actor: Actor) -> ErasureOutlook:
    belongs = dict(PatientRows(patient.id).in_order)
    counts = {model: _count(model, belongs[model]) for _, model in _WORDS}
    moments = [
        db.session.scalar(select(func.max(column)).where(belongs[model])) for model, column in _WRITTEN_AT
    ]
    last_entry_at = max(moment for moment in moments if moment is not None)
    years = patient.clinic.retention_years
    years = DEFAULT_RETENTION_YEARS if years is None else years
    has_examination = counts[LesionImage] or counts[Histopathology]
    free_from = _years_later(clinic_day(last_entry_at, actor=actor), years) if has_examination else None
    return ErasureOutlook(
        patient=patient,
        counts=[(words, counts[model]) for words, model in _WORDS],
        last_entry_at=last_entry_at,
        retention_years=years,
        free_from=free_from,
        is_free=free_from is None or free_from <= clinic_day(utc_now(), actor=actor),
        is_merged=bool(list_merges_into(patient)),
    )


def _check_request(patient: Patient, *, mrn: str, reason: str) -> str:
    """The reason, tidied, where MRN and reason are as they must be."""
    problems: dict[str, list[str]] = {}
    reason = tidy_paragraphs(reason)
    if tidy_mrn(mrn) != patient.mrn:
        problems["mrn"] = ["This is not the patient's MRN. Type the one that stands on this page."]
    words = set(fold_text(reason).replace(",", " ").replace(".", " ").split())
    if not 0 < len(reason) <= REASON_LENGTH:
        problems["reason"] = [f"Give the ground of the erasure, in up to {REASON_LENGTH} characters."]
    elif patient.mrn in tidy_mrn(reason) or set(patient.search_name.split()) <= words:
        problems["reason"] = ["The ground outlasts the record. Take the patient's name and MRN out of it."]
    if problems:
        raise InvalidInputError("Nothing was erased: some values need another look.", fields=problems)
    return reason


def _check_may_go(outlook: ErasureOutlook, *, law_lets_it_go: bool) -> None:
    if outlook.is_merged:
        raise ConflictError(
            "Another record was merged into this one, so nothing was erased. Undo the merge on the patient's page "
            "first, then erase each record that has to go."
        )
    if not outlook.is_free and not law_lets_it_go:
        day = outlook.free_from
        raise ConflictError(
            f"The record has to be kept for {outlook.retention_years} years after its last entry, so nothing was "
            f"erased. It can go from {day:%d %b %Y} on, or earlier where the law lets it: then say so, and on what "
            "ground."
        )


def _delete_rows(rows: PatientRows) -> None:
    for model, condition in rows.in_order:
        # Through the table and past the session: `append_only` refuses every deletion that the session makes, for
        # no other service may delete a signed review. Here the law asks for it.
        db.session.execute(delete(model.__table__).where(condition))


def _read_keys(rows: PatientRows) -> set[str]:
    keys = select(LesionImage.storage_key, LesionImage.thumbnail_key).where(rows.images)
    return {key for row in db.session.execute(keys) for key in row if key is not None}


def _count(model: type[Base], condition: ColumnElement[bool]) -> int:
    return db.session.scalar(select(func.count()).select_from(model).where(condition)) or 0


def _years_later(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February, in a year that has none
        return date(day.year + years, 3, 1)
