"""Clinics: every record belongs to one, and one exists from the start."""

from __future__ import annotations

import uuid

from sqlalchemy import select

from melanoma_app.errors import NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, Clinic
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.audit import record_event


def create_clinic(*, name: str, time_zone: str = "UTC", is_demo: bool = False) -> Clinic:
    """Open a clinic with an audit chain of its own.

    Args:
        name: Unique among the clinics.
        time_zone: IANA name; the clinic's days begin and end in it.
        is_demo: Whether its records are synthetic, which every page then says.
    """
    clinic = Clinic(public_id=uuid.uuid4(), name=name, time_zone=time_zone, is_demo=is_demo)
    db.session.add(clinic)
    db.session.flush()
    db.session.add(AuditChain(clinic_id=clinic.id))
    db.session.flush()
    record_event(
        action=AuditAction.CLINIC_CREATED, actor=None, clinic_id=clinic.id, subject_public_id=clinic.public_id
    )
    db.session.commit()
    return clinic


def find_clinic(*, name: str | None = None) -> Clinic:
    """The clinic of that name, or the first one that is no demo.

    Raises:
        NotFoundError: There is none.
    """
    wanted = Clinic.is_demo.is_(False) if name is None else Clinic.name == name
    clinic = db.session.scalars(select(Clinic).where(wanted).order_by(Clinic.id).limit(1)).one_or_none()
    if clinic is None:
        raise NotFoundError(f"There is no clinic {name!r}.")
    return clinic
