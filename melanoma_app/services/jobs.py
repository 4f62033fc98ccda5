"""Jobs: listed, cancelled, and what failed in them begun again. `job_runs.py` does the work.

An administrator sees to every job of the clinic; who may photograph, to the uploads that they have begun themselves.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import contains_eager, joinedload

from melanoma_app.errors import ConflictError, NotFoundError, NotPermittedError
from melanoma_app.extensions import db
from melanoma_app.models import (
    Job,
    JobItem,
    Lesion,
    LesionImage,
    ModelVersion,
    Patient,
    StagedPhotograph,
)
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, JobItemState, JobKind, JobState
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.job_items import end_job, lock_job

JOBS_LISTED: Final = 50
FAILURES_SHOWN: Final = 200
UNFINISHED: Final = (JobState.WAITING, JobState.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An item that was set aside.

    Args:
        problem: Why, in words.
        row: Of the manifest, for an import.
        image_public_id: The photograph, for a re-scoring; None once it is gone.
        lesion_number: Which of its patient's lesions the photograph shows.
        captured_at: When it was taken.
    """

    problem: str
    row: int | None = None
    image_public_id: uuid.UUID | None = None
    lesion_number: int | None = None
    captured_at: datetime | None = None


def enter_job(
    *,
    kind: JobKind,
    actor: Actor,
    model_version: ModelVersion | None = None,
    details: dict[str, Any] | None = None,
) -> Job:
    """A job without items yet; the caller holds the clinic's chain, adds them, audits it and commits."""
    job = Job(
        public_id=uuid.uuid4(),
        clinic_id=actor.clinic_id,
        kind=kind,
        made_by_id=actor.user.id,
        model_version_id=model_version.id if model_version else None,
        details=details or {},
    )
    db.session.add(job)
    db.session.flush()
    return job


def list_jobs(*, actor: Actor | None) -> Sequence[Job]:
    """The newest jobs that the actor may see to, or, for the command line, of every clinic; newest first.

    Raises:
        NotPermittedError: The actor may see to none.
    """
    query = select(Job).options(joinedload(Job.made_by), joinedload(Job.model_version))
    if actor is not None:
        query = query.where(Job.clinic_id == actor.clinic_id)
        if Permission.MANAGE_MODELS not in actor.permissions:
            _check_may_photograph(actor)
            query = query.where(Job.kind == JobKind.BULK_UPLOAD, Job.made_by_id == actor.user.id)
    return db.session.scalars(query.order_by(Job.made_at.desc(), Job.id.desc()).limit(JOBS_LISTED)).all()


def find_job(*, public_id: uuid.UUID, actor: Actor | None) -> Job:
    """The clinic's job of that id; for the command line any clinic's.

    Raises:
        NotFoundError: There is none.
        NotPermittedError: The actor may not see to it.
    """
    query = (
        select(Job)
        .where(Job.public_id == public_id)
        .options(joinedload(Job.made_by), joinedload(Job.model_version))
    )
    if actor is not None:
        query = query.where(Job.clinic_id == actor.clinic_id)
    job = db.session.scalars(query).one_or_none()
    if job is None:
        raise NotFoundError("There is no such job.")
    if actor is not None:
        _check_may_see_to(job, actor)
    return job


def list_failures(*, job: Job) -> Sequence[Failure]:
    """What was set aside, first to last, up to FAILURES_SHOWN; the caller has found the job for its actor."""
    items = db.session.scalars(
        select(JobItem)
        .where(JobItem.job_id == job.id, JobItem.state == JobItemState.FAILED)
        .order_by(JobItem.id)
        .limit(FAILURES_SHOWN)
    ).all()
    if job.kind is not JobKind.RESCORE:
        return [Failure(problem=item.note, row=item.subject_id) for item in items]
    images = {
        image.id: image
        for image in db.session.scalars(
            select(LesionImage)
            .join(LesionImage.lesion)
            .join(Lesion.patient)
            .where(
                LesionImage.id.in_([item.subject_id for item in items]), Patient.clinic_id == job.clinic_id
            )
            .options(contains_eager(LesionImage.lesion))
        )
    }
    return [_name_failure(item, images.get(item.subject_id)) for item in items]


def cancel_job(*, public_id: uuid.UUID, actor: Actor) -> Job:
    """Do nothing more for a job. What it has done stays; a batch that is at work is thrown away.

    Raises:
        NotFoundError: There is no such job.
        NotPermittedError: The actor may not see to it.
        ConflictError: It has ended already.
    """
    job = _lock(public_id, actor)
    if job.is_over:
        db.session.commit()
        raise ConflictError("The job has ended already, so there was nothing to cancel.")
    end_job(job, state=JobState.CANCELLED)
    _audit(AuditAction.JOB_CANCELLED, job, actor)
    return job


def retry_job(*, public_id: uuid.UUID, actor: Actor) -> Job:
    """Begin what was set aside again, and whatever was left when the job failed or was cancelled.

    An upload waits for the photographs of its rows that were set aside: they are sent once more.

    Raises:
        NotFoundError: There is no such job.
        NotPermittedError: The actor may not see to it.
        ConflictError: Nothing is left of it.
    """
    job = _lock(public_id, actor)
    if not can_retry(job):
        db.session.commit()
        raise ConflictError("Nothing of this job can be tried again.")
    again = update(JobItem).where(JobItem.job_id == job.id, JobItem.state == JobItemState.FAILED)
    fresh = {
        "state": JobItemState.WAITING,
        "attempts": 0,
        "note": "",
        "lease_until": None,
        "lease_holder": None,
    }
    db.session.execute(again.values(fresh).execution_options(synchronize_session=False))
    job.failed, job.ended_at, job.note = 0, None, ""
    job.total = job.done + _count_unfinished(job)
    job.state = JobState.WAITING
    if job.kind is JobKind.BULK_UPLOAD:
        job.state = JobState.COLLECTING
        rows = update(StagedPhotograph).where(StagedPhotograph.job_id == job.id)
        db.session.execute(rows.values(changed_at=utc_now()).execution_options(synchronize_session=False))
    _audit(AuditAction.JOB_RETRIED, job, actor)
    return job


def can_retry(job: Job) -> bool:
    """Whether something is left of a job that can be begun again."""
    if job.kind is JobKind.BULK_UPLOAD:
        kept = select(StagedPhotograph.id).where(StagedPhotograph.job_id == job.id).limit(1)
        return job.state is JobState.DONE and db.session.scalar(kept) is not None
    return bool(_count_unfinished(job)) and (job.is_over or job.failed > 0)


def list_unfinished() -> Sequence[int]:
    """The keys of the jobs of which something is left, oldest first, for whoever does the work."""
    ids = db.session.scalars(select(Job.id).where(Job.state.in_(UNFINISHED)).order_by(Job.id)).all()
    db.session.commit()
    return ids


def audit_new_job(job: Job, actor: Actor) -> None:
    """Write that a job was begun into the audit log, and commit."""
    _audit(AuditAction.JOB_CREATED, job, actor)


def _check_may_see_to(job: Job, actor: Actor) -> None:
    if Permission.MANAGE_MODELS in actor.permissions:
        return
    _check_may_photograph(actor)
    if job.kind is not JobKind.BULK_UPLOAD or job.made_by_id != actor.user.id:
        raise NotPermittedError(
            "Only an administrator may see to this job: it is no upload of yours. Ask an administrator of your clinic."
        )


def _check_may_photograph(actor: Actor) -> None:
    if Permission.ADD_IMAGES not in actor.permissions:
        raise NotPermittedError("Only an administrator, or who may add photographs, may see to jobs.")


def _count_unfinished(job: Job) -> int:
    unfinished = JobItem.job_id == job.id, JobItem.state != JobItemState.DONE
    return db.session.scalar(select(func.count()).select_from(JobItem).where(*unfinished)) or 0


def _lock(public_id: uuid.UUID, actor: Actor) -> Job:
    job_id = find_job(public_id=public_id, actor=actor).id
    lock_chain(actor.clinic_id)
    return lock_job(job_id)


def _audit(action: AuditAction, job: Job, actor: Actor) -> None:
    record_event(
        action=action,
        actor=actor,
        subject_public_id=job.public_id,
        details={"kind": job.kind.value, "items": job.total},
    )
    db.session.commit()


def _name_failure(item: JobItem, image: LesionImage | None) -> Failure:
    if image is None:
        return Failure(problem=item.note)
    return Failure(
        problem=item.note,
        image_public_id=image.public_id,
        lesion_number=image.lesion.number,
        captured_at=image.captured_at,
    )
