"""What is left of bulk uploads: those that were forgotten are cancelled, and nothing is kept for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import exists, select

from melanoma_app.extensions import db
from melanoma_app.models import Job, StagedPhotograph
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, JobKind, JobState
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.file_removal import remove_noted_files
from melanoma_app.services.job_items import end_job, lock_job
from melanoma_app.services.upload_staging import drop_photographs
from melanoma_app.storage import ImageStore

KEPT: Final = timedelta(days=7)
"""How long an upload waits for its next photograph, and how long rows that were set aside can be sent again."""
FORGOTTEN: Final = (
    f"No photograph came for {KEPT.days} days, so the upload was cancelled and its photographs removed."
)


def tidy_uploads(*, store: ImageStore) -> None:
    """Cancel forgotten uploads, keep nothing more of old ones, and remove every file that has to go.

    Whoever looks for work does this; it costs three short queries when there is nothing to do.

    Args:
        store: Where the files are.
    """
    before = utc_now() - KEPT
    is_fresh = exists().where(StagedPhotograph.job_id == Job.id, StagedPhotograph.changed_at >= before)
    forgotten = Job.kind == JobKind.BULK_UPLOAD, Job.state == JobState.COLLECTING, ~is_fresh
    found = db.session.execute(select(Job.id, Job.clinic_id).where(*forgotten)).all()
    db.session.commit()
    for job_id, clinic_id in found:
        lock_chain(clinic_id)
        job = lock_job(job_id)
        # Somebody may have sent a photograph just now.
        if db.session.scalar(select(Job.id).where(Job.id == job_id, *forgotten)) is not None:
            end_job(job, state=JobState.CANCELLED, note=FORGOTTEN)
            record_event(
                action=AuditAction.JOB_CANCELLED,
                actor=None,
                clinic_id=clinic_id,
                origin="job",
                subject_public_id=job.public_id,
                details={"kind": job.kind.value, "items": job.total},
            )
        db.session.commit()
    old = select(Job.id).where(
        Job.kind == JobKind.BULK_UPLOAD,
        Job.state.not_in((JobState.COLLECTING, JobState.WAITING, JobState.RUNNING)),
        Job.ended_at < before,
    )
    drop_photographs(of=StagedPhotograph.job_id.in_(old))
    db.session.commit()
    remove_noted_files(store=store)
