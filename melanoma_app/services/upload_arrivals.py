"""The photographs of a bulk upload as they come: matched with their rows, stored once, and counted."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from flask import current_app
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import Job, StagedPhotograph
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import JobState
from melanoma_app.security.upload_guard import check_upload
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain
from melanoma_app.services.image_files import discard_files, store_upload
from melanoma_app.services.job_items import lock_job
from melanoma_app.services.upload_staging import digest_name, names_meant
from melanoma_app.services.uploads import UploadProgress, count_photographs, find_upload, let_work_begin

BEGUN: Final = "The upload is not waiting for photographs any more, so this one was not taken."


def stage_photograph(*, public_id: uuid.UUID, name: str, content: bytes, actor: Actor) -> UploadProgress:
    """Take a photograph that has come for an upload, for every row that names it; the last one begins the work.

    The same file again changes nothing. It is only looked at from outside here: whether it can be decoded shows when
    it is taken in, and one that cannot is set aside then.

    Args:
        public_id: The upload's job.
        name: What the file is called; its folder and, if the manifest leaves it out, its ending do not count.
        content: The file as it came.
        actor: Who sends it.

    Raises:
        NotFoundError: There is no such upload.
        NotPermittedError: It is a colleague's.
        ConflictError: The upload has begun or ended, or another file of that name has come.
        InvalidInputError: No row names the file, or it is empty or broken.
        UnsupportedImageError: It is neither JPEG nor PNG.
        TooLargeError: The file or its picture is too large.
        UnavailableError: The image store does not work; nothing was kept.
    """
    job = find_upload(public_id=public_id, actor=actor)
    rows = _find_rows(job, names_meant(name))
    if job.state is not JobState.COLLECTING:
        raise ConflictError(BEGUN)
    sha256 = hashlib.sha256(content).hexdigest()
    wanting = _without_file(rows, sha256)
    job_id, row_ids = job.id, [row.id for row in wanting]
    db.session.commit()
    if row_ids:
        check_upload(
            content,
            max_upload_mb=current_app.config["MAX_UPLOAD_MB"],
            max_image_megapixels=current_app.config["MAX_IMAGE_MEGAPIXELS"],
        )
        _store(content, sha256, job_id, row_ids, actor.clinic_id)
    return _count_and_begin(job_id)


def _find_rows(job: Job, names: Iterable[str]) -> Sequence[StagedPhotograph]:
    """The rows that name a file.

    Raises:
        InvalidInputError: There are none.
    """
    digests = [digest_name(name, job_public_id=job.public_id) for name in names]
    rows = db.session.scalars(
        select(StagedPhotograph)
        .where(StagedPhotograph.job_id == job.id, StagedPhotograph.name_digest.in_(digests))
        .execution_options(populate_existing=True)
    ).all()
    if not rows:
        raise InvalidInputError(
            "No row of the manifest that is still open names this file, so it was not taken. Compare the names."
        )
    return rows


def _without_file(rows: Iterable[StagedPhotograph], sha256: str) -> list[StagedPhotograph]:
    """The rows that wait for a file.

    Raises:
        ConflictError: Another file of the same name has come: nobody could tell which is meant.
    """
    if any(row.sha256 not in (None, sha256) for row in rows):
        raise ConflictError(
            "Another photograph of this name has come already, so this one was not taken. If the other one was wrong, "
            "cancel the upload and begin again."
        )
    return [row for row in rows if row.sha256 is None]


def _store(content: bytes, sha256: str, job_id: int, row_ids: Sequence[int], clinic_id: int) -> None:
    """Store the file, once for each row, so that each has its own to be removed; then say so in the rows.

    A process that dies in between leaves files that no row refers to; `flask storage sweep` finds them.
    """
    store, keys, kept = image_storage.store, list[str](), set[str]()
    try:
        for _ in row_ids:
            keys.append(store_upload(content=content, store=store))
        lock_chain(clinic_id)  # an erasure must find the file
        if lock_job(job_id).state is not JobState.COLLECTING:
            raise ConflictError(BEGUN)
        rows = db.session.scalars(
            select(StagedPhotograph)
            .where(StagedPhotograph.id.in_(row_ids))
            .execution_options(populate_existing=True)
        )
        for row, key in zip(_without_file(rows.all(), sha256), keys, strict=False):
            row.storage_key, row.sha256, row.size_bytes, row.changed_at = key, sha256, len(content), utc_now()
            kept.add(key)
        db.session.commit()
    except DBAPIError:
        db.session.rollback()
        raise  # it may have committed without being able to say so: the files stay
    except BaseException:
        db.session.rollback()
        discard_files(keys=keys, store=store)
        raise
    discard_files(keys=[key for key in keys if key not in kept], store=store)


def _count_and_begin(job_id: int) -> UploadProgress:
    """How far the upload is; it begins when nothing is missing."""
    job = lock_job(job_id)
    counted = count_photographs(job=job)
    has_begun = counted.arrived == counted.wanted and job.state is JobState.COLLECTING
    if has_begun:
        let_work_begin(job)
    db.session.commit()
    return UploadProgress(job_id=job_id, wanted=counted.wanted, arrived=counted.arrived, has_begun=has_begun)
