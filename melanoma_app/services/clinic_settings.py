"""What a clinic's administrators decide for everyone in it: its name, its days, its rules."""

from __future__ import annotations

from functools import cache
from typing import Final, TypeAlias
from zoneinfo import available_timezones

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from melanoma_app.errors import ConflictError, InvalidInputError, NotPermittedError
from melanoma_app.extensions import db
from melanoma_app.models import Clinic
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.second_factor import second_factor_of
from melanoma_app.services.text import tidy_text

LONGEST_CLINIC_NAME: Final = 120
SHORTEST_RETENTION_YEARS: Final = 1
LONGEST_RETENTION_YEARS: Final = 100
"""Longer than any law asks for; a typing slip more than that would keep records for ever."""
_Setting: TypeAlias = str | int | bool | None


@cache
def list_time_zones() -> tuple[str, ...]:
    """Every IANA zone that this server knows, by name."""
    return tuple(sorted(available_timezones()))


def edit_clinic(
    *, name: str, time_zone: str, requires_second_factor: bool, retention_years: int | None, actor: Actor
) -> Clinic:
    """Change the settings of the actor's clinic.

    The zone says where a day begins from now on; what is stored stays as it is. A second factor can be required only by
    somebody who has one, so that nobody shuts the last door behind themselves.

    Args:
        name: Unique among the clinics of this server.
        time_zone: IANA name.
        requires_second_factor: Whether everyone must have one.
        retention_years: How long records are kept after the last entry; None where nobody has decided.
        actor: An administrator.

    Raises:
        NotPermittedError: The actor is no administrator.
        InvalidInputError: A value will not do.
        ConflictError: Another clinic has the name, or the actor has no second factor and would require one.
    """
    if Permission.MANAGE_CLINIC not in actor.permissions:
        raise NotPermittedError("Only an administrator may change the clinic's settings.")
    name = tidy_text(name)
    _check(name=name, time_zone=time_zone, retention_years=retention_years)
    lock_chain(actor.clinic_id)
    clinic = db.session.scalars(
        select(Clinic).where(Clinic.id == actor.clinic_id).execution_options(populate_existing=True)
    ).one()
    if (
        requires_second_factor
        and not clinic.requires_second_factor
        and second_factor_of(user=actor.user) is None
    ):
        db.session.commit()
        problem = "Set up a second factor for yourself first, on your account page; then require one."
        raise ConflictError(problem, fields={"requires_second_factor": [problem]})
    details = _describe_changes(
        {
            "time_zone": (clinic.time_zone, time_zone),
            "requires_second_factor": (bool(clinic.requires_second_factor), requires_second_factor),
            "retention_years": (clinic.retention_years, retention_years),
        }
    )
    if name != clinic.name:
        details["name"] = "changed"
    if not details:
        db.session.commit()
        return clinic
    _keep(clinic, name)
    clinic.time_zone, clinic.retention_years = time_zone, retention_years
    clinic.requires_second_factor = requires_second_factor
    record_event(
        action=AuditAction.CLINIC_EDITED, actor=actor, subject_public_id=clinic.public_id, details=details
    )
    db.session.commit()
    return clinic


def _check(*, name: str, time_zone: str, retention_years: int | None) -> None:
    problems: dict[str, list[str]] = {}
    if not name:
        problems["name"] = ["Enter the clinic's name."]
    elif len(name) > LONGEST_CLINIC_NAME:
        problems["name"] = [f"The name has more than {LONGEST_CLINIC_NAME} characters. Shorten it."]
    if time_zone not in list_time_zones():
        problems["time_zone"] = ["Choose a time zone of the list, such as Europe/Lisbon."]
    if retention_years is not None and not (
        SHORTEST_RETENTION_YEARS <= retention_years <= LONGEST_RETENTION_YEARS
    ):
        problems["retention_years"] = [
            f"Enter {SHORTEST_RETENTION_YEARS} to {LONGEST_RETENTION_YEARS} years, or leave it empty."
        ]
    if problems:
        raise InvalidInputError("The settings were not saved.", fields=problems)


def _keep(clinic: Clinic, name: str) -> None:
    try:
        # A savepoint: the page that tells of the refusal still needs what the session has loaded.
        with db.session.begin_nested():
            clinic.name = name
    except IntegrityError as error:
        db.session.commit()
        problem = "Another clinic on this server has this name. Choose another."
        raise ConflictError(problem, fields={"name": [problem]}) from error


def _describe_changes(settings: dict[str, tuple[_Setting, _Setting]]) -> dict[str, str | int]:
    """What changed, before and after, as the audit keeps it: texts and whole numbers."""
    return {
        f"{setting}{moment}": _word(value)
        for setting, (before, after) in settings.items()
        if before != after
        for moment, value in (("_before", before), ("", after))
    }


def _word(value: _Setting) -> str | int:
    if value is None:
        return "not set"
    return ("yes" if value else "no") if isinstance(value, bool) else value
