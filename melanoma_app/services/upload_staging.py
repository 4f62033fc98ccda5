"""What a bulk upload keeps of photographs until they are on record: rows of the database, files of the image store.

A file goes as every file does (`file_removal.py`): it is noted in the transaction that no longer needs it, and removed
after that. So one that is needed is never removed, and one that is not is never forgotten.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update

from melanoma_app.extensions import db
from melanoma_app.models import JobItem, StagedPhotograph
from melanoma_app.services.file_removal import note_files
from melanoma_app.services.text import tidy_text

ENDINGS: Final = frozenset({"jpg", "jpeg", "png"})
"""What a manifest may leave out of a name."""


def drop_photographs(*, of: ColumnElement[bool]) -> None:
    """Keep nothing more of some photographs; the caller commits."""
    _note_files(of)
    db.session.execute(delete(StagedPhotograph).where(of).execution_options(synchronize_session=False))


def let_files_go(*, of: ColumnElement[bool]) -> None:
    """Keep what the manifest says of some photographs, and not their files; the caller commits."""
    _note_files(of)
    db.session.execute(
        update(StagedPhotograph)
        .where(of)
        .values(storage_key=None, sha256=None, size_bytes=None)
        .execution_options(synchronize_session=False)
    )


def forget_patient(*, patient_id: int) -> None:
    """Take somebody who is erased out of every upload; the caller has locked the chain, and commits."""
    of_patient = StagedPhotograph.patient_id == patient_id
    items = db.session.scalars(select(StagedPhotograph.job_item_id).where(of_patient)).all()
    drop_photographs(of=of_patient)
    db.session.execute(
        delete(JobItem).where(JobItem.id.in_(items)).execution_options(synchronize_session=False)
    )


def fold_name(name: str) -> str:
    """A file's name as names are compared: systems differ in upper and lower case and in how they write an umlaut."""
    return tidy_text(name).casefold()


def names_meant(name: str) -> Sequence[str]:
    """What a manifest may call a file, folded: its name, and that without the ending."""
    own = fold_name(name.replace("\\", "/").rpartition("/")[2])
    stem, _, ending = own.rpartition(".")
    return (own, stem) if stem and ending in ENDINGS else (own,)


def digest_name(folded: str, *, job_public_id: uuid.UUID) -> str:
    """What is kept of a file's name: enough to know it again, in one upload alone."""
    return hashlib.sha256(f"{job_public_id}/{folded}".encode()).hexdigest()


def _note_files(of: ColumnElement[bool]) -> None:
    kept = select(StagedPhotograph.storage_key).where(of, StagedPhotograph.storage_key.is_not(None))
    note_files(keys=[key for key in db.session.scalars(kept) if key])
