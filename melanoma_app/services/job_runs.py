"""Doing the work of a job, in a worker, in the web process or on the command line: the same in each."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import joinedload

from melanoma_app.errors import JobPausedError, JobStoppedError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import Job, User
from melanoma_app.models.vocabulary import JobKind, JobState
from melanoma_app.services.actor import Actor
from melanoma_app.services.file_removal import remove_noted_files
from melanoma_app.services.image_import_jobs import ImportWork
from melanoma_app.services.job_items import claim_items, end_job, lock_job, release_items
from melanoma_app.services.rescoring import Rescoring
from melanoma_app.services.upload_work import UploadWork

LOOK_AGAIN_S: Final = 1.0
"""How soon to look again while others hold what is left."""

logger = logging.getLogger(__name__)


class Work(Protocol):
    """What one kind of job does with its items."""

    def do(self, items: dict[int, int]) -> None:
        """Do some items, and close each of them."""


_WORK: Final[dict[JobKind, Callable[[Job, Actor], Work]]] = {
    JobKind.RESCORE: Rescoring,
    JobKind.IMPORT_IMAGES: ImportWork,
    JobKind.BULK_UPLOAD: UploadWork,
}


def run_job(
    *, job_id: int, lasts_s: float | None = None, on_progress: Callable[[Job], object] = lambda job: None
) -> bool:
    """Work on a job until it has ended, or for a while.

    Any number of processes may work on one job, and each may be killed at any moment: what it held is taken over once
    its lease has run out. Work is done in the name of whoever made the job.

    Args:
        job_id: Which.
        lasts_s: Seconds after which no new batch is begun; None for as long as it takes.
        on_progress: Told of the job after each batch.

    Returns:
        Whether it has ended; False: time is up, or what it needs does not work at present, which its note tells.
    """
    holder, until = secrets.token_hex(16), time.monotonic() + lasts_s if lasts_s else None
    work: Work | None = None
    while until is None or time.monotonic() < until:
        claim = claim_items(job_id=job_id, holder=holder)
        # A long job must not hold every record it has seen.
        db.session.expunge_all()
        job = _read(job_id)
        on_progress(job)
        if claim.is_over:
            remove_noted_files(store=image_storage.store)  # what an upload kept
            return True
        if not claim.items:
            time.sleep(LOOK_AGAIN_S)
            continue
        try:
            work = work or _WORK[job.kind](job, _actor_of(job))
            work.do(dict(claim.items))
        except JobStoppedError as error:
            _stop(job_id, error.message)
            return True
        except JobPausedError as error:
            _pause(job_id, holder, error.message)
            return False
        except BaseException:
            _give_back(job_id, holder)
            raise
    return False


def _read(job_id: int) -> Job:
    job = db.session.scalars(select(Job).where(Job.id == job_id)).one()
    db.session.commit()
    return job


def _actor_of(job: Job) -> Actor:
    user = db.session.scalars(
        select(User).where(User.id == job.made_by_id).options(joinedload(User.clinic))
    ).one()
    db.session.commit()
    return Actor(user=user, origin="job", request_id=str(job.public_id))


def _stop(job_id: int, note: str) -> None:
    db.session.rollback()
    job = lock_job(job_id)
    if not job.is_over:
        end_job(job, state=JobState.FAILED, note=note)
    db.session.commit()


def _pause(job_id: int, holder: str, note: str) -> None:
    db.session.rollback()
    release_items(job_id=job_id, holder=holder)
    job = lock_job(job_id)
    if not job.is_over:
        job.state, job.note = JobState.WAITING, note
    db.session.commit()
    logger.warning("job %s waits: %s", job_id, note)


def _give_back(job_id: int, holder: str) -> None:
    """As far as the database answers; else the lease runs out by itself."""
    try:
        db.session.rollback()
        release_items(job_id=job_id, holder=holder)
    except DBAPIError:
        logger.warning("job %s: the database does not answer; its items are taken up again later", job_id)
