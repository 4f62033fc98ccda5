"""Checklists: what somebody found of the ABCDE criteria and the seven-point checklist at a photograph."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.attributes import set_committed_value

from melanoma_app.errors import InvalidInputError
from melanoma_app.extensions import db
from melanoma_app.models import Checklist
from melanoma_app.models.checklist import ABCDE, SEVEN_POINT_WEIGHTS
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.lesion_images import find_lesion_image


def record_checklist(
    *,
    image_public_id: uuid.UUID,
    abcde: Mapping[str, bool] | None,
    seven_point: Mapping[str, bool] | None,
    actor: Actor,
) -> Checklist:
    """Keep what was found at a photograph; earlier checklists stay, and the newest counts.

    A list that was gone through answers every one of its criteria, so that "not found" never means "not looked for".

    Args:
        image_public_id: The photograph.
        abcde: Every name of `models.checklist.ABCDE`, found or not; None when it was not gone through.
        seven_point: Every name of `SEVEN_POINT_WEIGHTS`, found or not; None when it was not gone through.
        actor: Who looked.

    Raises:
        NotFoundError: The clinic has no such photograph.
        InvalidInputError: Neither list was gone through, or one is not complete.
    """
    lesion_image = find_lesion_image(public_id=image_public_id, actor=actor)
    if abcde is None and seven_point is None:
        message = "Go through at least one of the two lists, then record it."
        raise InvalidInputError(message, fields={"abcde": [message], "seven_point": [message]})
    _check_names("abcde", abcde, ABCDE)
    _check_names("seven_point", seven_point, SEVEN_POINT_WEIGHTS)
    checklist = Checklist(
        public_id=uuid.uuid4(),
        lesion_image=lesion_image,
        recorded_by_id=actor.user.id,
        **(abcde or {}),
        **(seven_point or {}),
    )
    db.session.add(checklist)
    record_event(
        action=AuditAction.CHECKLIST_RECORDED,
        actor=actor,
        subject_public_id=checklist.public_id,
        patient=lesion_image.lesion.patient,
        details={"image": str(lesion_image.public_id)},
    )
    db.session.commit()
    set_committed_value(checklist, "recorded_by", actor.user)
    return checklist


def newest_checklists(*, image_ids: Collection[int]) -> dict[int, Checklist]:
    """The checklist that counts of each photograph, with who recorded it; photographs without one are left out.

    The caller has made sure that the actor may see the photographs, and audits the reading.
    """
    if not image_ids:
        return {}
    newest = (
        select(func.max(Checklist.id))
        .where(Checklist.lesion_image_id.in_(image_ids))
        .group_by(Checklist.lesion_image_id)
    )
    checklists = db.session.scalars(
        select(Checklist).where(Checklist.id.in_(newest)).options(joinedload(Checklist.recorded_by))
    )
    return {checklist.lesion_image_id: checklist for checklist in checklists}


def _check_names(field: str, answers: Mapping[str, bool] | None, names: Collection[str]) -> None:
    if answers is None:
        return
    is_whole = answers.keys() == set(names) and all(isinstance(answer, bool) for answer in answers.values())
    if not is_whole:
        message = f"Answer every criterion of the list with true or false, and no other: {', '.join(names)}."
        raise InvalidInputError(message, fields={field: [message]})
