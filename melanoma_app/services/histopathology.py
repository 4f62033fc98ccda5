"""Histopathology: what the laboratory found in a lesion, recorded and never changed."""

from __future__ import annotations

import math
import uuid
from collections.abc import Collection
from datetime import date
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from melanoma_app.errors import InvalidInputError
from melanoma_app.extensions import db
from melanoma_app.models import Histopathology, Lesion
from melanoma_app.models.base import utc_now
from melanoma_app.models.histopathology import THICKEST_MM
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.lesions import find_lesion
from melanoma_app.services.patients import clinic_day
from melanoma_app.services.text import tidy_text

DIAGNOSIS_LENGTH: Final = 200
"""Characters."""


def record_histopathology(
    *,
    lesion_public_id: uuid.UUID,
    diagnosis: str,
    outcome: OutcomeLabel,
    reported_on: date,
    actor: Actor,
    breslow_thickness_mm: float | None = None,
) -> Histopathology:
    """Record a laboratory report on a lesion. A corrected report is recorded again, and the newest counts.

    Args:
        lesion_public_id: The lesion that the tissue was taken from.
        diagnosis: The pathologist's own words, 1 to 200 characters once tidied.
        outcome: Whether the laboratory calls it malignant or benign.
        reported_on: The report's own date: not in the future, and not before the patient was born.
        actor: Who records it.
        breslow_thickness_mm: Above 0 up to 100 mm; measured on malignant lesions alone.

    Raises:
        NotFoundError: The clinic has no such lesion.
        InvalidInputError: A value cannot be right; `fields` says which and why.
    """
    lock_chain(actor.clinic_id)
    lesion = find_lesion(public_id=lesion_public_id, actor=actor)
    diagnosis = tidy_text(diagnosis)
    problems = {
        "diagnosis": _doubt_diagnosis(diagnosis),
        "reported_on": _doubt_report_date(
            reported_on, lesion=lesion, today=clinic_day(utc_now(), actor=actor)
        ),
        "breslow_thickness_mm": _doubt_thickness(breslow_thickness_mm, outcome=outcome),
    }
    if fields := {name: [problem] for name, problem in problems.items() if problem}:
        raise InvalidInputError("Some values need another look.", fields=fields)
    histopathology = Histopathology(
        public_id=uuid.uuid4(),
        lesion=lesion,
        diagnosis=diagnosis,
        outcome=outcome,
        breslow_thickness_mm=breslow_thickness_mm,
        reported_on=reported_on,
        recorded_by_id=actor.user.id,
    )
    db.session.add(histopathology)
    record_event(
        action=AuditAction.HISTOPATHOLOGY_RECORDED,
        actor=actor,
        subject_public_id=histopathology.public_id,
        patient=lesion.patient,
    )
    recount_patients(patient_ids=[lesion.patient_id], clinic_id=actor.clinic_id)
    db.session.commit()
    return histopathology


def newest_histopathology(*, lesion_ids: Collection[int]) -> dict[int, Histopathology]:
    """The laboratory report that counts, by lesion; a lesion without one is left out.

    For other services: nothing is audited. The caller has made sure that the lesions are the clinic's.
    """
    newest = (
        select(func.max(Histopathology.id))
        .where(Histopathology.lesion_id.in_(lesion_ids))
        .group_by(Histopathology.lesion_id)
    )
    reports = select(Histopathology).where(Histopathology.id.in_(newest))
    found = db.session.scalars(reports.options(joinedload(Histopathology.recorded_by)))
    return {histopathology.lesion_id: histopathology for histopathology in found}


def _doubt_diagnosis(diagnosis: str) -> str | None:
    if 1 <= len(diagnosis) <= DIAGNOSIS_LENGTH:
        return None
    return f"Enter the diagnosis of the report, up to {DIAGNOSIS_LENGTH} characters."


def _doubt_report_date(reported_on: date, *, lesion: Lesion, today: date) -> str | None:
    if reported_on > today:
        return "This date is in the future. Enter the date that stands on the report."
    if reported_on < lesion.patient.birth_date:
        return "This date is before the patient's birth. Check the year, or the patient."
    return None


def _doubt_thickness(thickness_mm: float | None, *, outcome: OutcomeLabel) -> str | None:
    if thickness_mm is None:
        return None
    if outcome is not OutcomeLabel.MALIGNANT:
        return "The Breslow thickness is measured on malignant lesions alone. Leave it out, or check the outcome."
    if not (math.isfinite(thickness_mm) and 0 < thickness_mm <= THICKEST_MM):
        return f"Enter a thickness above 0 and up to {THICKEST_MM} mm, such as 0.8."
    return None
