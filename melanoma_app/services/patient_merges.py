"""Merging: one person who was registered twice becomes one record, and two again when that was wrong.

The lesions move to the kept record and get its next numbers; `merged_lesion` remembers the old ones. Nothing else of
the merged record changes: it keeps its MRN, which nobody else can get, takes nothing new, and stands in no list.

Merges do not nest: neither a record that was merged, nor one that others were merged into, can be merged into a
further one. So every merge can be undone by itself, in any order.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import aliased, contains_eager, joinedload

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import Lesion, MergedLesion, Patient, PatientMerge
from melanoma_app.models.base import utc_now
from melanoma_app.models.patient_merge import MERGE_REASON_LENGTH
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.consent_purposes import CONSENT_FIELDS, CONSENT_LABELS
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.record_totals import add_to_totals
from melanoma_app.services.text import tidy_paragraphs


def find_merge_of(patient: Patient) -> PatientMerge | None:
    """The merge that holds a patient, with the record that was kept; None for one that stands by itself."""
    return db.session.scalars(
        select(PatientMerge)
        .where(PatientMerge.merged_id == patient.id, PatientMerge.reverted_at.is_(None))
        .options(joinedload(PatientMerge.kept))
    ).one_or_none()


def list_merges_into(patient: Patient) -> Sequence[PatientMerge]:
    """The merges into a patient that hold, oldest first, with the merged records and who merged them."""
    return db.session.scalars(
        select(PatientMerge)
        .where(PatientMerge.kept_id == patient.id, PatientMerge.reverted_at.is_(None))
        .order_by(PatientMerge.id)
        .options(joinedload(PatientMerge.merged), joinedload(PatientMerge.merged_by))
    ).all()


def has_taken_in(condition: Callable[[type[Patient]], ColumnElement[bool]]) -> ColumnElement[bool]:
    """The condition that a record merged into a patient's fits another condition.

    Args:
        condition: Makes the other one for the merged record.
    """
    former = aliased(Patient)
    return Patient.id.in_(
        select(PatientMerge.kept_id)
        .join(former, PatientMerge.merged_id == former.id)
        .where(PatientMerge.reverted_at.is_(None), condition(former))
    )


def count_lesions(*, patients: Collection[Patient]) -> dict[int, int]:
    """How many lesions each patient has, by the patient's key."""
    counts = dict.fromkeys((patient.id for patient in patients), 0)
    rows = db.session.execute(
        select(Lesion.patient_id, func.count())
        .where(Lesion.patient_id.in_(counts))
        .group_by(Lesion.patient_id)
    )
    return counts | {row[0]: row[1] for row in rows}


def merge_patients(
    *, kept_public_id: uuid.UUID, merged_public_id: uuid.UUID, reason: str, actor: Actor
) -> PatientMerge:
    """Merge a patient into another one; the lesions move there.

    Raises:
        NotFoundError: The clinic has not both of them.
        InvalidInputError: There is no reason, or it is too long, or the two are one and the same.
        ConflictError: One of them is part of a merge that forbids it, or the kept record would lose a refused
            consent; nothing is changed.
    """
    reason = tidy_paragraphs(reason)
    if kept_public_id == merged_public_id:
        message = "A patient cannot be merged with themselves. Choose the other record of the same person."
        raise InvalidInputError(message, fields={"merged": [message]})
    if not 0 < len(reason) <= MERGE_REASON_LENGTH:
        message = f"Say why the two are one person, in up to {MERGE_REASON_LENGTH} characters."
        raise InvalidInputError(message, fields={"reason": [message]})
    kept, merged = _lock_patients(kept_public_id, merged_public_id, actor)
    _refuse_nesting(kept, merged)
    _refuse_lost_consents(kept, merged)
    merge = PatientMerge(
        public_id=uuid.uuid4(), kept=kept, merged=merged, reason=reason, merged_by_id=actor.user.id
    )
    db.session.add(merge)
    db.session.flush()
    moved = _move_lesions(merge)
    _record(AuditAction.PATIENTS_MERGED, merge, actor, lesions=moved, patients=-1)
    db.session.commit()
    return merge


def revert_merge(*, public_id: uuid.UUID, actor: Actor) -> PatientMerge:
    """Undo a merge: the lesions it moved go back, under their former numbers, with all that was added to them since.

    Raises:
        NotFoundError: The clinic has no such merge.
        ConflictError: It has been undone already.
    """
    kept, merged = aliased(Patient), aliased(Patient)
    merge = db.session.scalars(
        select(PatientMerge)
        .join(kept, PatientMerge.kept_id == kept.id)
        .join(merged, PatientMerge.merged_id == merged.id)
        .where(PatientMerge.public_id == public_id, kept.clinic_id == actor.clinic_id)
        .options(contains_eager(PatientMerge.kept.of_type(kept)))
        .options(contains_eager(PatientMerge.merged.of_type(merged)))
    ).one_or_none()
    if merge is None:
        raise NotFoundError("There is no such merge in your clinic. Open the patient's page again.")
    _lock_patients(merge.kept.public_id, merge.merged.public_id, actor)
    db.session.refresh(merge, ["reverted_at"])
    if merge.reverted_at is not None:
        raise ConflictError("Somebody has undone this merge already. Both records are there again.")
    moved = db.session.scalars(
        select(MergedLesion).where(MergedLesion.merge_id == merge.id).options(joinedload(MergedLesion.lesion))
    ).all()
    for one in moved:
        one.lesion.patient_id, one.lesion.number = merge.merged_id, one.former_number
    merge.reverted_at, merge.reverted_by_id = utc_now(), actor.user.id
    _record(AuditAction.PATIENT_MERGE_REVERTED, merge, actor, lesions=len(moved), patients=1)
    db.session.commit()
    return merge


def _lock_patients(
    kept_public_id: uuid.UUID, merged_public_id: uuid.UUID, actor: Actor
) -> tuple[Patient, Patient]:
    """Both rows, locked in one order, so that two people who merge at once wait for each other and never both."""
    lock_chain(actor.clinic_id)
    rows = {
        patient.public_id: patient
        for patient in db.session.scalars(
            select(Patient)
            .where(
                Patient.public_id.in_([kept_public_id, merged_public_id]),
                Patient.clinic_id == actor.clinic_id,
            )
            .order_by(Patient.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    }
    if len(rows) < 2:
        raise NotFoundError("There is no such patient in your clinic. Search for the name or the MRN.")
    return rows[kept_public_id], rows[merged_public_id]


def _refuse_nesting(kept: Patient, merged: Patient) -> None:
    standing = db.session.scalars(
        select(PatientMerge).where(
            PatientMerge.reverted_at.is_(None),
            or_(PatientMerge.merged_id.in_([kept.id, merged.id]), PatientMerge.kept_id == merged.id),
        )
    ).all()
    if any(merge.merged_id in (kept.id, merged.id) for merge in standing):
        raise ConflictError(
            "One of these records has been merged already, so nothing was changed. "
            "Open it: its page leads to the record that was kept."
        )
    if standing:
        raise ConflictError(
            "Other records were merged into this one, so it has to be the one that is kept. Merge the other way "
            "round, or undo those merges first."
        )


def _refuse_lost_consents(kept: Patient, merged: Patient) -> None:
    """A "no" must not get lost, nor a "yes" stand against it: where one refuses, the kept record must refuse, too."""
    for purpose, field in CONSENT_FIELDS.items():
        answers = getattr(kept, field), getattr(merged, field)
        if answers in ((True, False), (False, True), (None, False)):
            raise ConflictError(
                f"The two records disagree on the consent to {CONSENT_LABELS[purpose]}. Ask the patient, record the "
                "same answer in both records, then merge them."
            )


def _move_lesions(merge: PatientMerge) -> int:
    highest = (
        db.session.scalar(select(func.max(Lesion.number)).where(Lesion.patient_id == merge.kept_id)) or 0
    )
    lesions = db.session.scalars(
        select(Lesion)
        .where(Lesion.patient_id == merge.merged_id)
        .order_by(Lesion.number)
        .execution_options(populate_existing=True)
    ).all()
    for number, lesion in enumerate(lesions, start=highest + 1):
        db.session.add(MergedLesion(merge_id=merge.id, lesion_id=lesion.id, former_number=lesion.number))
        lesion.patient_id, lesion.number = merge.kept_id, number
    db.session.flush()
    return len(lesions)


def _record(action: AuditAction, merge: PatientMerge, actor: Actor, *, lesions: int, patients: int) -> None:
    """In the history of both patients, in the statistics and on the worklist.

    Args:
        action: What happened.
        merge: To which merge.
        actor: Who did it.
        lesions: How many moved.
        patients: How many more stand in lists now.
    """
    for patient in (merge.kept, merge.merged):
        record_event(
            action=action,
            actor=actor,
            subject_public_id=merge.public_id,
            patient=patient,
            details={
                "kept": str(merge.kept.public_id),
                "merged": str(merge.merged.public_id),
                "lesions": lesions,
            },
        )
    add_to_totals(clinic_id=actor.clinic_id, patients=patients)
    recount_patients(patient_ids=[merge.kept_id, merge.merged_id], clinic_id=actor.clinic_id)
