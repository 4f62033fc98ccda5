"""What is open, as queries that walk an index; `services/worklist.py` says what each list means."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, func, literal, or_, select, tuple_

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import LesionImage, OpenTask, Prediction
from melanoma_app.models.base import utc_now
from melanoma_app.models.prediction import is_latest_of_image
from melanoma_app.models.vocabulary import OpenTaskKind
from melanoma_app.services.actor import Actor
from melanoma_app.services.patients import clinic_day

Rows = Select[*tuple[Any, ...]]
"""A query, whatever its rows hold."""
UNSCORED: Final = -1.0
"""Below every probability, so that photographs that no model has looked at come last."""


@dataclass(frozen=True, kw_only=True)
class WorklistPosition:
    """A place in the order of the unsigned photographs: probability, moment of the photograph, its key."""

    rank: float
    captured_at: datetime
    key: int


def open_tasks(query: Rows, kind: OpenTaskKind, actor: Actor) -> Rows:
    """What is open of one kind in the actor's clinic."""
    return query.select_from(OpenTask).where(OpenTask.clinic_id == actor.clinic_id, OpenTask.kind == kind)


def overdue_monitoring(query: Rows, actor: Actor) -> Rows:
    """Monitoring whose day has passed where the clinic is."""
    return open_tasks(query, OpenTaskKind.MONITORING, actor).where(
        OpenTask.due_on < clinic_day(utc_now(), actor=actor)
    )


def count_up_to(limit: int, rows: Rows) -> ScalarSelect[int]:
    """How many rows there are, counting no further than a limit."""
    return select(func.count()).select_from(rows.limit(limit).subquery()).scalar_subquery()


def counts_for_image() -> ColumnElement[bool]:
    """What joins a photograph to the prediction that counts, if there is one."""
    return and_(Prediction.lesion_image_id == LesionImage.id, is_latest_of_image())


def in_worklist_order(query: Rows) -> Rows:
    """Unsigned photographs: the highest probability first, then the oldest photograph."""
    return query.order_by(OpenTask.risk_order, OpenTask.since, OpenTask.lesion_image_id)


def is_behind(position: WorklistPosition) -> ColumnElement[bool]:
    """Whether an unsigned photograph comes after a place in that order.

    It is said twice, for each server finds the place in its index by one of the two alone: SQLite by comparing the
    three as one, MariaDB and MySQL by the ranges. Many photographs may share a place's rank: all that are unscored.
    """
    columns = (OpenTask.risk_order, OpenTask.since, OpenTask.lesion_image_id)
    place = (-position.rank, position.captured_at, position.key)
    rank, since, key = columns
    return and_(
        tuple_(*columns)
        > tuple_(*(literal(value, column.type) for value, column in zip(place, columns, strict=True))),
        or_(
            rank > place[0],
            and_(rank == place[0], since > place[1]),
            and_(rank == place[0], since == place[1], key > place[2]),
        ),
    )


def write_position(position: WorklistPosition) -> str:
    """The place as a cursor; `repr` keeps every digit of the probability, so that none is skipped or seen twice."""
    text = f"{position.rank!r}|{position.captured_at.isoformat()}|{position.key}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_position(cursor: str) -> WorklistPosition:
    """The place that a cursor names.

    Raises:
        InvalidInputError: It is not one of ours.
    """
    try:
        rank, at, key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("|")
        position = WorklistPosition(rank=float(rank), captured_at=datetime.fromisoformat(at), key=int(key))
        if position.captured_at.tzinfo is None or not 0 <= position.key < 2**63:
            raise ValueError(cursor)
        if not UNSCORED <= position.rank <= 1:  # which "nan" is not either
            raise ValueError(cursor)
        position.captured_at.astimezone(UTC)
    except (ValueError, OverflowError, binascii.Error) as error:
        raise InvalidInputError(
            "The cursor is not one that this list gave out. Start again without it.",
            fields={"cursor": ["Not a cursor of this list."]},
        ) from error
    return position
