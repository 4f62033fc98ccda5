"""Which photographs may be given out for research, and how much may be said of each patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Row, exists, select
from sqlalchemy.orm import aliased

from melanoma_app.extensions import db
from melanoma_app.models import ConsentDecision, Histopathology, Lesion, LesionImage, Patient, Review
from melanoma_app.models.histopathology import is_newest_of_lesion
from melanoma_app.models.patient_merge import is_not_merged
from melanoma_app.models.vocabulary import ConsentPurpose, Gender, ImageType, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.birth_dates import age_in_years
from melanoma_app.services.small_groups import STEPS, Person, choose_steps

BAND_YEARS: Final = 5
OLDEST_BAND: Final = 85
"""Everybody from this age on is of this age: old people are few (HIPAA, 45 CFR 164.514(b)(2)(i)(C), begins at 90)."""
_SEXES: Final = {Gender.FEMALE: "female", Gender.MALE: "male"}
"""Others are few, so nothing is said of them."""


@dataclass(frozen=True, kw_only=True)
class ResearchPlan:
    """What an export would hold, and what it would leave out.

    Args:
        patients: Whose photographs are in it.
        images: The photographs.
        steps: How many patients are described by everything, by all but the first of `STEPS`, and so on.
        patients_left_out: Too few are described alike even with nothing said.
        images_left_out: Theirs.
        undiagnosed: Photographs of those who agreed that nobody has signed and no laboratory has reported on.
        overviews: Photographs of whole parts of the body, which may show a face or a tattoo.
    """

    patients: int
    images: int
    steps: Sequence[int]
    patients_left_out: int
    images_left_out: int
    undiagnosed: int
    overviews: int


@dataclass(frozen=True, kw_only=True)
class PickedPhotographs:
    """The photographs that are given out, by patient; what may be said of each, and how many steps are held back."""

    plan: ResearchPlan
    images: Mapping[int, Sequence[Row[Any]]]
    steps: Mapping[int, int]
    people: Mapping[int, Person]


def pick_photographs(actor: Actor) -> PickedPhotographs:
    """What an export made now would hold; the caller ends the transaction."""
    rows = db.session.execute(_images_of_willing_patients(actor)).all()
    overviews = [row for row in rows if row.image_type is ImageType.CLINICAL_OVERVIEW]
    others = [row for row in rows if row.image_type is not ImageType.CLINICAL_OVERVIEW]
    by_patient: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    for row in others:
        if is_malignant(row) is not None:
            by_patient[row.patient_id].append(row)
    people = {patient: _describe_person(images) for patient, images in by_patient.items()}
    steps = choose_steps(people)
    taken = {patient: images for patient, images in by_patient.items() if patient in steps}
    counts = Counter(steps.values())
    images = sum(len(one) for one in taken.values())
    diagnosed = sum(len(one) for one in by_patient.values())
    plan = ResearchPlan(
        patients=len(taken),
        images=images,
        steps=[counts[step] for step in range(len(STEPS) + 1)],
        patients_left_out=len(by_patient) - len(taken),
        images_left_out=diagnosed - images,
        undiagnosed=len(others) - diagnosed,
        overviews=len(overviews),
    )
    return PickedPhotographs(plan=plan, images=taken, steps=steps, people=people)


def _images_of_willing_patients(actor: Actor) -> Any:
    """Photographs with what is known of them; consent is the column in force, and no newer answer says no."""
    newer, older = aliased(ConsentDecision), aliased(ConsentDecision)
    is_newest = ~exists().where(
        newer.patient_id == older.patient_id, newer.purpose == older.purpose, newer.id > older.id
    )
    has_refused = exists().where(
        older.patient_id == Patient.id,
        older.purpose == ConsentPurpose.RESEARCH,
        older.is_given.is_(False),
        is_newest,
    )
    return (
        select(
            Patient.id.label("patient_id"),
            Patient.gender,
            Patient.birth_date,
            Patient.fitzpatrick_skin_type,
            Lesion.id.label("lesion_id"),
            Lesion.anatom_site_general,
            LesionImage.storage_key,
            LesionImage.sha256,
            LesionImage.image_type,
            LesionImage.clin_size_long_diam_mm,
            LesionImage.captured_on,
            Review.conclusion,
            Histopathology.outcome,
            Histopathology.breslow_thickness_mm,
            Histopathology.reported_on,
        )
        .select_from(Patient)
        .join(Lesion, Lesion.patient_id == Patient.id)
        .join(LesionImage, LesionImage.lesion_id == Lesion.id)
        .outerjoin(Review, Review.lesion_image_id == LesionImage.id)
        .outerjoin(Histopathology, is_newest_of_lesion())
        .where(
            Patient.clinic_id == actor.clinic_id,
            Patient.consent_to_research.is_(True),
            ~has_refused,
            is_not_merged(),
        )
        .order_by(Patient.id, LesionImage.captured_on, LesionImage.id)
    )


def is_confirmed(row: Row[Any]) -> bool:
    """Whether a laboratory has reported on what the photograph shows; a later one shows the scar."""
    return row.outcome is not None and row.captured_on <= row.reported_on


def is_malignant(row: Row[Any]) -> bool | None:
    """What the laboratory found, else what was signed; None where neither is known."""
    outcome = row.outcome if is_confirmed(row) else row.conclusion
    return None if outcome is None else outcome is OutcomeLabel.MALIGNANT


def _describe_person(images: Sequence[Row[Any]]) -> Person:
    """Age, skin type and gender as at the first photograph; all the sites together, for they are joined by the id."""
    first = images[0]
    return Person(
        gender=_SEXES.get(first.gender, ""),
        age=_band(first.birth_date, on=first.captured_on),
        skin_type=first.fitzpatrick_skin_type,
        site=frozenset(general_site(image) for image in images),
    )


def _band(birth_date: date, *, on: date) -> int:
    age = max(age_in_years(birth_date, on=on), 0)
    return min(age - age % BAND_YEARS, OLDEST_BAND)


def general_site(row: Row[Any]) -> str:
    """As the challenge has it, which knows one torso."""
    site = str(row.anatom_site_general)
    return "torso" if site.endswith("torso") else site
