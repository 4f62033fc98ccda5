"""Work on many records that nobody waits for: the job, and what it is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from melanoma_app.models.base import Base, BigId, PrimaryKey, PublicId, UtcDateTime, stored_enum, utc_now
from melanoma_app.models.prediction import ModelVersion
from melanoma_app.models.user import User
from melanoma_app.models.vocabulary import JobItemState, JobKind, JobState

NOTE_LENGTH: Final = 500
"""Characters."""


class Job(Base):
    """Work that somebody asked for. The database says what is left of it; whoever wakes up for it may die at any time.

    `done` and `failed` count its items that are; `total` all of them, and once the job has ended those two together:
    items of a patient who was erased meanwhile are gone. `note` says why it waits or ended early. `details` holds what
    the kind needs, and nothing about a person.
    """

    __tablename__ = "job"
    __table_args__ = (
        Index(None, "clinic_id", "made_at"),
        CheckConstraint("total >= 0 AND done >= 0 AND failed >= 0", name="counts_are_not_negative"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[PublicId]
    clinic_id: Mapped[int] = mapped_column(ForeignKey("clinic.id"))
    kind: Mapped[JobKind] = mapped_column(stored_enum(JobKind))
    state: Mapped[JobState] = mapped_column(stored_enum(JobState), default=JobState.WAITING, index=True)
    made_by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    note: Mapped[str] = mapped_column(String(NOTE_LENGTH), default="")

    made_by: Mapped[User] = relationship(lazy="raise")
    model_version: Mapped[ModelVersion | None] = relationship(lazy="raise")

    @property
    def is_over(self) -> bool:
        """Whether nothing will be done for it any more."""
        return self.state not in (JobState.COLLECTING, JobState.WAITING, JobState.RUNNING)


class JobItem(Base):
    """One thing that a job has to do, and whether it is done.

    `subject_id` is the photograph's key for a re-scoring and the row's number for an import or an upload: no more than
    that is kept of a record, and an erasure takes the items of its photographs along (`services/erasure.py`). It is no
    foreign key, for the rows of a manifest stand in no table.

    Who works on an item holds it until `lease_until`. `attempts` counts how often somebody has begun.
    """

    __tablename__ = "job_item"
    __table_args__ = (
        UniqueConstraint("job_id", "subject_id"),
        Index(None, "job_id", "state", "attempts"),
    )

    id: Mapped[PrimaryKey]
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    subject_id: Mapped[int] = mapped_column(BigId)
    state: Mapped[JobItemState] = mapped_column(stored_enum(JobItemState), default=JobItemState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    lease_holder: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    note: Mapped[str] = mapped_column(String(NOTE_LENGTH), default="")
