"""Lesions of a patient: where each is, and its photographs with what was said of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import contains_eager

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, Lesion, Patient, Prediction, Review
from melanoma_app.models.vocabulary import AnatomSiteGeneral, AuditAction, Laterality
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.body_map import BodyPlace, LesionSite, check_place, describe_site
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.lesion_images import ImageRecord, list_image_records
from melanoma_app.services.patients import find_patient, lock_patient
from melanoma_app.services.record_totals import add_to_totals
from melanoma_app.services.text import tidy_paragraphs

MAXIMUM_DESCRIPTION_LENGTH = 500
_COLUMNS_OF_THE_PLACE: Final = ("body_view", "body_x", "body_y")


@dataclass(frozen=True, kw_only=True)
class LesionRecord:
    """A lesion with its photographs, newest first."""

    lesion: Lesion
    images: Sequence[ImageRecord]

    @property
    def site(self) -> LesionSite:
        """Where the lesion is, in words and codes."""
        return describe_site(self.lesion)

    @property
    def predictions(self) -> Sequence[Prediction]:
        """The newest answer about each photograph that a model has looked at, newest photograph first."""
        return [image.prediction for image in self.images if image.prediction]

    @property
    def newest_review(self) -> Review | None:
        """The review that was signed last: its plan is the one in force."""
        reviews = [image.review for image in self.images if image.review]
        return max(reviews, key=lambda review: (review.signed_at, review.id), default=None)


@dataclass(frozen=True, kw_only=True)
class PatientRecord:
    """A patient with every lesion, by number."""

    patient: Patient
    lesions: Sequence[LesionRecord]

    @property
    def next_lesion_number(self) -> int:
        """The number that the next lesion will get, unless somebody else adds one first."""
        return max((entry.lesion.number for entry in self.lesions), default=0) + 1


def add_lesion(
    *,
    patient_public_id: uuid.UUID,
    description: str,
    actor: Actor,
    place: BodyPlace | None = None,
    anatom_site_general: AnatomSiteGeneral | None = None,
    laterality: Laterality | None = None,
) -> Lesion:
    """Add a lesion to a patient; it gets the patient's next number.

    Site and side come from the place on the body map. Whoever gives them as well must say the same; without a place
    the site is required.

    Raises:
        NotFoundError: The clinic has no such patient.
        InvalidInputError: The place is off the body or contradicts the site or side, no site is given, or the
            description is too long. Nothing is added.
    """
    values = _check_values(description, place, anatom_site_general, laterality)
    # Locked: two lesions added at once get two numbers, and none is added to a record that is being merged.
    patient = lock_patient(public_id=patient_public_id, actor=actor)
    count = db.session.scalar(select(func.max(Lesion.number)).where(Lesion.patient_id == patient.id)) or 0
    lesion = enter_lesion(patient=patient, number=count + 1, values=values, actor=actor)
    db.session.commit()
    return lesion


def enter_lesion(
    *, patient: Patient, number: int, values: dict[str, Any], actor: Actor, chain: AuditChain | None = None
) -> Lesion:
    """Add a lesion and the audit entry, in the caller's transaction, which holds the patient's lock.

    Args:
        patient: Whose.
        number: The patient's next one.
        values: The columns that say where it is and what it looks like.
        actor: Who adds it.
        chain: The clinic's audit chain, where the caller has locked it.
    """
    lesion = Lesion(public_id=uuid.uuid4(), patient=patient, number=number, **values)
    db.session.add(lesion)
    record_event(
        action=AuditAction.LESION_ADDED,
        actor=actor,
        subject_public_id=lesion.public_id,
        patient=patient,
        chain=chain,
    )
    add_to_totals(clinic_id=patient.clinic_id, lesions=1)
    return lesion


def edit_lesion(
    *,
    public_id: uuid.UUID,
    description: str,
    actor: Actor,
    place: BodyPlace | None = None,
    anatom_site_general: AnatomSiteGeneral | None = None,
    laterality: Laterality | None = None,
) -> Lesion:
    """Replace what is said of where a lesion is and what it looks like; its number stays.

    All of it is given, changed or not: without a place the lesion is on the map no more. The audit entry names what
    changed, not the values.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
        InvalidInputError: As for `add_lesion`; the record is unchanged.
    """
    values = _check_values(description, place, anatom_site_general, laterality)
    lock_chain(actor.clinic_id)
    lesion = find_lesion(public_id=public_id, actor=actor)
    changed = {
        "place" if name in _COLUMNS_OF_THE_PLACE else name
        for name, value in values.items()
        if getattr(lesion, name) != value
    }
    for name, value in values.items():
        setattr(lesion, name, value)
    record_event(
        action=AuditAction.LESION_EDITED,
        actor=actor,
        subject_public_id=lesion.public_id,
        patient=lesion.patient,
        details={"changed": sorted(changed)},
    )
    recount_patients(patient_ids=[lesion.patient_id], clinic_id=actor.clinic_id)
    db.session.commit()
    return lesion


def find_lesion(*, public_id: uuid.UUID, actor: Actor) -> Lesion:
    """The clinic's lesion of that id, with its patient, for other services: nothing is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
    """
    lesion = db.session.scalars(
        select(Lesion)
        .join(Lesion.patient)
        .where(Lesion.public_id == public_id, Patient.clinic_id == actor.clinic_id)
        .options(contains_eager(Lesion.patient))
    ).one_or_none()
    if lesion is None:
        raise NotFoundError("There is no such lesion in your clinic. Open it from the patient's page.")
    return lesion


def read_lesion(*, public_id: uuid.UUID, actor: Actor) -> Lesion:
    """A lesion to be shown, with its patient; the reading is audited.

    Raises:
        NotFoundError: There is none, or none in the actor's clinic.
    """
    lesion = find_lesion(public_id=public_id, actor=actor)
    record_event(
        action=AuditAction.PATIENT_READ, actor=actor, subject_public_id=public_id, patient=lesion.patient
    )
    db.session.commit()
    return lesion


def read_patient_record(*, public_id: uuid.UUID, actor: Actor) -> PatientRecord:
    """A patient with all lesions, photographs, newest answers and reviews; the reading is audited.

    It takes the same number of queries however many lesions and photographs there are.

    Raises:
        NotFoundError: The clinic has no such patient.
    """
    patient = find_patient(public_id=public_id, actor=actor)
    lesions = db.session.scalars(
        select(Lesion).where(Lesion.patient_id == patient.id).order_by(Lesion.number)
    ).all()
    images = list_image_records(lesion_ids=[lesion.id for lesion in lesions])
    record_event(
        action=AuditAction.PATIENT_READ, actor=actor, subject_public_id=patient.public_id, patient=patient
    )
    db.session.commit()
    return PatientRecord(
        patient=patient,
        lesions=[LesionRecord(lesion=lesion, images=images[lesion.id]) for lesion in lesions],
    )


def _check_values(
    description: str,
    place: BodyPlace | None,
    site: AnatomSiteGeneral | None,
    laterality: Laterality | None,
) -> dict[str, Any]:
    """The column values, or a refusal that names the wrong field."""
    description = tidy_paragraphs(description)
    if len(description) > MAXIMUM_DESCRIPTION_LENGTH:
        raise _refused("description", f"A description has up to {MAXIMUM_DESCRIPTION_LENGTH} characters.")
    values: dict[str, Any] = dict.fromkeys(_COLUMNS_OF_THE_PLACE)
    if place is not None:
        region = check_place(place)
        for field, given, found in (
            ("anatom_site_general", site, region.anatom_site_general),
            ("laterality", laterality, region.laterality),
        ):
            if given is not None and given != found:
                raise _refused(
                    field,
                    f"The mark on the map is at “{region.label}”, which is {found}, not {given}. "
                    "Correct the choice, or move or clear the mark.",
                )
        site, laterality = region.anatom_site_general, region.laterality
        values |= {"body_view": place.view, "body_x": place.x, "body_y": place.y}
    if site is None:
        raise _refused("anatom_site_general", "Mark the lesion on the map, or choose its site.")
    return values | {"anatom_site_general": site, "laterality": laterality, "description": description}


def _refused(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, fields={field: [message]})
