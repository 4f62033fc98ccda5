"""The items of a job: claimed for a while, closed once, and set aside when they bring their worker down.

What keeps an item from being done twice is not the lease but its state: whoever closes it locks the clinic's audit
chain, then the job, and finds it waiting or done. A lease only keeps two workers from working in vain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, or_, select, update

from melanoma_app.extensions import db
from melanoma_app.models import Job, JobItem, LesionImage, StagedPhotograph
from melanoma_app.models.base import utc_now
from melanoma_app.models.job import NOTE_LENGTH
from melanoma_app.models.vocabulary import JobItemState, JobKind, JobState
from melanoma_app.services.upload_staging import drop_photographs, let_files_go

ITEMS_A_BATCH: Final = 16
"""What is done again at most after a worker was killed: a second or two of work."""
LEASE: Final = timedelta(seconds=60)
"""Much longer than a batch takes. Whoever holds it longer is taken for dead."""
ATTEMPTS: Final = 3
"""How often an item may fail before it is set aside."""
DEATHS: Final = 2
"""How often a worker may die over an item before it is set aside."""
DIED: Final = f"The worker died {DEATHS} times over this. Look at the file, then try the failed items again."


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a worker got of a job.

    Args:
        is_over: The job has ended, or waits for photographs; nothing is to be done.
        items: Row and subject of each item that is now the worker's; none while others hold what is left.
    """

    is_over: bool
    items: Mapping[int, int]


def claim_items(*, job_id: int, holder: str) -> Claim:
    """Take some items of a job for a while; ends the job when nothing is left of it.

    Items that nobody has begun come first, many at once. One that failed, or whose worker died, is taken alone, so
    that one poisoned photograph is never mistaken for its neighbours.

    Args:
        job_id: Which job.
        holder: Who works, as random letters.
    """
    job = lock_job(job_id)
    if job.is_over or job.state is JobState.COLLECTING:
        db.session.commit()
        return Claim(is_over=True, items={})
    _set_aside_the_deadly(job)
    ids = _find_free(job.id)
    if not ids and not _is_anything_waiting(job.id):
        end_job(job, state=JobState.DONE)
        db.session.commit()
        return Claim(is_over=True, items={})
    if ids:
        job.state, job.started_at, job.note = JobState.RUNNING, job.started_at or utc_now(), ""
        _update(
            [JobItem.id.in_(ids)],
            lease_holder=holder,
            lease_until=utc_now() + LEASE,
            attempts=JobItem.attempts + 1,
        )
    rows = db.session.execute(
        select(JobItem.id, JobItem.subject_id).where(JobItem.id.in_(ids)).order_by(JobItem.id)
    ).all()
    db.session.commit()
    return Claim(is_over=False, items={row.id: row.subject_id for row in rows})


def find_open_items(*, job: Job, item_ids: Collection[int]) -> dict[int, int]:
    """Those of some items that are still to be closed, with their subjects; the caller has locked chain and job.

    None for a job that has ended: what was done for one that was cancelled meanwhile is thrown away.
    """
    if job.is_over:
        return {}
    rows = db.session.execute(
        select(JobItem.id, JobItem.subject_id).where(
            JobItem.id.in_(item_ids), JobItem.state == JobItemState.WAITING
        )
    )
    return {row.id: row.subject_id for row in rows}


def close_items(*, job: Job, done: Mapping[int, str]) -> None:
    """Close items for good, each with what there is to say of it; the caller has locked the job, and commits."""
    for note in set(done.values()):
        ids = [item_id for item_id, own in done.items() if own == note]
        job.done += _update(
            [JobItem.id.in_(ids), JobItem.state == JobItemState.WAITING],
            state=JobItemState.DONE,
            note=note[:NOTE_LENGTH],
            lease_holder=None,
            lease_until=None,
        )


def fail_items(*, job: Job, failed: Mapping[int, str], is_final: bool = False) -> None:
    """Let items that failed be tried again, or set them aside; the caller has locked the job, and commits.

    Args:
        job: Theirs.
        failed: What is wrong with each, in words that name nobody.
        is_final: Set aside at once: trying again would change nothing.
    """
    for item_id, problem in failed.items():
        is_this = [JobItem.id == item_id, JobItem.state == JobItemState.WAITING]
        values = {"note": problem[:NOTE_LENGTH], "lease_holder": None, "lease_until": None}
        enough = is_this if is_final else [*is_this, JobItem.attempts >= ATTEMPTS]
        job.failed += _update(enough, state=JobItemState.FAILED, **values)
        _update(is_this, **values)


def release_items(*, job_id: int, holder: str) -> None:
    """Give back what a worker holds, as if it had not been begun; commits."""
    lock_job(job_id)
    _update(
        [
            JobItem.job_id == job_id,
            JobItem.state == JobItemState.WAITING,
            JobItem.lease_holder == holder,
        ],
        lease_holder=None,
        lease_until=None,
        attempts=JobItem.attempts - 1,
    )
    db.session.commit()


def end_job(job: Job, *, state: JobState, note: str = "") -> None:
    """Let nothing more be done for a job; the caller has locked it, and commits."""
    job.state, job.note, job.ended_at = state, note[:NOTE_LENGTH], utc_now()
    if state is JobState.DONE:
        job.total = job.done + job.failed  # items of erased patients are gone
    if job.kind is JobKind.BULK_UPLOAD:
        of_job = StagedPhotograph.job_id == job.id
        if state is JobState.DONE:
            let_files_go(of=of_job)  # rows that were set aside can be sent again
        else:
            drop_photographs(of=of_job)


def lock_job(job_id: int) -> Job:
    """The job as the last writer left it, locked until the transaction ends; after the chain, where both are needed."""
    return db.session.scalars(
        select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True)
    ).one()


def forget_images(*, of_images: ColumnElement[bool]) -> None:
    """Take the items of photographs that are erased out of every job; the caller has locked the chain, and commits."""
    rescorings = select(Job.id).where(Job.kind == JobKind.RESCORE)
    images = select(LesionImage.id).where(of_images)
    db.session.execute(
        delete(JobItem)
        .where(JobItem.job_id.in_(rescorings), JobItem.subject_id.in_(images))
        .execution_options(synchronize_session=False)
    )


def _find_free(job_id: int) -> Sequence[int]:
    waiting = (JobItem.job_id == job_id, JobItem.state == JobItemState.WAITING)
    fresh = select(JobItem.id).where(*waiting, JobItem.attempts == 0).order_by(JobItem.id)
    if ids := db.session.scalars(fresh.limit(ITEMS_A_BATCH)).all():
        return ids
    is_free = or_(JobItem.lease_until.is_(None), JobItem.lease_until < utc_now())
    again = select(JobItem.id).where(*waiting, JobItem.attempts > 0, is_free)
    return db.session.scalars(again.order_by(JobItem.attempts, JobItem.id).limit(1)).all()


def _set_aside_the_deadly(job: Job) -> None:
    """A lease that ran out was not given back: its worker died over the item."""
    job.failed += _update(
        [
            JobItem.job_id == job.id,
            JobItem.state == JobItemState.WAITING,
            JobItem.attempts >= DEATHS,
            JobItem.lease_until < utc_now(),
        ],
        state=JobItemState.FAILED,
        note=DIED,
        lease_holder=None,
        lease_until=None,
    )


def _is_anything_waiting(job_id: int) -> bool:
    waiting = select(JobItem.id).where(JobItem.job_id == job_id, JobItem.state == JobItemState.WAITING)
    return db.session.scalar(waiting.limit(1)) is not None


def _update(where: Sequence[ColumnElement[bool]], **values: object) -> int:
    db.session.flush()
    changed = update(JobItem).where(*where).values(**values).execution_options(synchronize_session=False)
    count: int = db.session.execute(changed).rowcount  # type: ignore[attr-defined] # an UPDATE has one
    return count
