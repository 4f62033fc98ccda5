"""Bulk uploads: begun with a manifest, filled one by one (`upload_arrivals.py`), and then a job like every other."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import ColumnElement, func, insert, select, update

from melanoma_app.errors import ConflictError, NotFoundError, NotPermittedError
from melanoma_app.extensions import db
from melanoma_app.models import Job, JobItem, Patient, StagedPhotograph
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import JobItemState, JobKind, JobState
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain
from melanoma_app.services.import_tables import batches
from melanoma_app.services.job_items import lock_job
from melanoma_app.services.jobs import audit_new_job, enter_job, find_job
from melanoma_app.services.upload_manifest import CheckedRow, read_manifest
from melanoma_app.services.upload_staging import digest_name, names_meant

ROWS_SHOWN: Final = 200
NEVER_CAME: Final = "No photograph came for this row."
_ROWS_AN_INSERT: Final = 500


@dataclass(frozen=True, kw_only=True)
class UploadProgress:
    """How far an upload is that collects photographs.

    Args:
        job_id: The key of its job.
        wanted: Rows for which a photograph has come or is waited for.
        arrived: Those for which it has come.
        missing: The numbers of the others, first to last, up to ROWS_SHOWN.
        has_begun: Nothing is waited for any more, and the work has begun.
    """

    job_id: int
    wanted: int
    arrived: int
    missing: Sequence[int] = ()
    has_begun: bool = False


def start_upload(*, manifest: bytes, actor: Actor, default_day: date | None = None) -> Job:
    """Begin an upload: the job waits for the photographs that the manifest lists.

    A manifest with a row that could not be taken is refused, and nothing is kept of it. Job, items, rows and audit
    entry are kept together or not at all.

    Args:
        manifest: A CSV file with MANIFEST_COLUMNS; file names without folders.
        actor: Who uploads.
        default_day: When photographs were taken whose row does not say.

    Raises:
        NotPermittedError: The actor may not add lesions and photographs.
        InvalidInputError: The manifest cannot be right; `fields["manifest"]` names the rows.
        ConflictError: A patient was erased meanwhile.
    """
    if not {Permission.WRITE_PATIENTS, Permission.ADD_IMAGES} <= actor.permissions:
        raise NotPermittedError("Only somebody who may add lesions and photographs may upload them.")
    rows = read_manifest(manifest, default_day=default_day, actor=actor)
    db.session.commit()
    lock_chain(actor.clinic_id)
    _check_are_there({row.patient_id for row in rows}, actor)
    details = {"default_day": default_day.isoformat() if default_day else None}
    job = enter_job(kind=JobKind.BULK_UPLOAD, actor=actor, details=details)
    job.state, job.total = JobState.COLLECTING, len(rows)
    _enter_rows(job, rows)
    audit_new_job(job, actor)
    return job


def begin_upload(*, public_id: uuid.UUID, actor: Actor) -> Job:
    """Begin with the photographs that have come; rows whose photograph has not are set aside and named.

    Raises:
        NotFoundError: There is no such upload.
        NotPermittedError: It is a colleague's.
        ConflictError: No photograph has come, or the upload has begun or ended.
    """
    job = lock_job(find_upload(public_id=public_id, actor=actor).id)
    if job.state is not JobState.COLLECTING:
        db.session.commit()
        raise ConflictError("The upload is not waiting for photographs any more.")
    if not count_photographs(job=job).arrived:
        db.session.commit()
        raise ConflictError("No photograph has come yet. Send some first, or cancel the upload.")
    let_work_begin(job)
    db.session.commit()
    return job


def find_upload(*, public_id: uuid.UUID, actor: Actor) -> Job:
    """The upload of that id, for whoever may see to it.

    Raises:
        NotFoundError: There is no such upload.
        NotPermittedError: It is a colleague's.
    """
    job = find_job(public_id=public_id, actor=actor)
    if job.kind is not JobKind.BULK_UPLOAD:
        raise NotFoundError("There is no such upload.")
    return job


def count_photographs(*, job: Job) -> UploadProgress:
    """What has come and what is waited for; the caller has found the upload for its actor."""
    of_job = StagedPhotograph.job_id == job.id
    counted = select(func.count(), func.count(StagedPhotograph.storage_key)).where(of_job)
    wanted, arrived = db.session.execute(counted).one()
    missing = (
        select(JobItem.subject_id)
        .join(StagedPhotograph, StagedPhotograph.job_item_id == JobItem.id)
        .where(of_job, StagedPhotograph.storage_key.is_(None))
        .order_by(JobItem.subject_id)
        .limit(ROWS_SHOWN)
    )
    return UploadProgress(
        job_id=job.id, wanted=wanted, arrived=arrived, missing=db.session.scalars(missing).all()
    )


def find_wanted_names(*, public_id: uuid.UUID, names: Iterable[str], actor: Actor) -> Sequence[str]:
    """Those of some files that an upload still waits for, so that nobody sends the others again.

    Raises:
        NotFoundError: There is no such upload.
        NotPermittedError: It is a colleague's.
    """
    job = find_upload(public_id=public_id, actor=actor)
    missing = select(StagedPhotograph.name_digest).where(
        StagedPhotograph.job_id == job.id, StagedPhotograph.storage_key.is_(None)
    )
    digests = set(db.session.scalars(missing))
    return [
        name
        for name in names
        if not digests.isdisjoint(digest_name(one, job_public_id=job.public_id) for one in names_meant(name))
    ]


def let_work_begin(job: Job) -> None:
    """Let workers have it; the caller has locked the job, and commits."""
    of_job: ColumnElement[bool] = StagedPhotograph.job_id == job.id
    missing = select(StagedPhotograph.job_item_id).where(of_job, StagedPhotograph.storage_key.is_(None))
    aside = (
        update(JobItem)
        .where(JobItem.job_id == job.id, JobItem.state == JobItemState.WAITING, JobItem.id.in_(missing))
        .values(state=JobItemState.FAILED, note=NEVER_CAME)
        .execution_options(synchronize_session=False)
    )
    job.failed += db.session.execute(aside).rowcount  # type: ignore[attr-defined] # an UPDATE has one
    job.state = JobState.WAITING


def _check_are_there(patient_ids: Collection[int], actor: Actor) -> None:
    """Nobody is erased while the chain is locked."""
    there = select(func.count()).where(Patient.id.in_(patient_ids), Patient.clinic_id == actor.clinic_id)
    if db.session.scalar(there) != len(patient_ids):
        db.session.rollback()
        raise ConflictError("A patient's record was erased meanwhile. Send the manifest again.")


def _enter_rows(job: Job, rows: Sequence[CheckedRow]) -> None:
    for some in batches(rows, _ROWS_AN_INSERT):
        items = [
            {
                "job_id": job.id,
                "subject_id": row.number,
                "state": JobItemState.WAITING,
                "attempts": 0,
                "note": "",
            }
            for row in some
        ]
        db.session.execute(insert(JobItem), items)
    known = select(JobItem.subject_id, JobItem.id).where(JobItem.job_id == job.id)
    ids = {row.subject_id: row.id for row in db.session.execute(known)}
    for some in batches(rows, _ROWS_AN_INSERT):
        values = [
            {
                "job_id": job.id,
                "job_item_id": ids[row.number],
                "patient_id": row.patient_id,
                "name_digest": digest_name(row.folded_name, job_public_id=job.public_id),
                "cells": dict(row.cells),
                "changed_at": utc_now(),
            }
            for row in some
        ]
        db.session.execute(insert(StagedPhotograph), values)
