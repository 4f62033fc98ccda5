"""Clinics full of random records, written at once: lesions, photographs, answers, reviews and laboratory reports."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select

from melanoma_app.extensions import db
from melanoma_app.models import (
    Clinic,
    Histopathology,
    Lesion,
    LesionImage,
    ModelVersion,
    Patient,
    Prediction,
    Review,
    User,
)
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    FitzpatrickSkinType,
    Gender,
    ImageType,
    OutcomeLabel,
    ReviewPlan,
    Role,
)
from melanoma_app.services.counting import recount_patients
from tests.factories import ClinicFactory, ModelVersionFactory, UserFactory, session

EDGE_DAYS: Final = [
    *(date(2024, 2, 29), date(2024, 3, 1), date(2024, 12, 31), date(2025, 1, 1), date(2025, 2, 28)),
    *(date(2025, 3, 31), date(2025, 12, 29), date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 4)),
]
"""Ends of months, of years and of ISO weeks."""
FIRST_DAY: Final = date(2024, 1, 15)
LAST_DAY: Final = date(2026, 5, 20)
BIRTHS: Final = [
    *(date(2000, 2, 29), date(1936, 2, 29), date(1936, 3, 1), date(1996, 3, 31), date(2024, 2, 29)),
    *(date(1965, 12, 31), date(1966, 1, 1), date(1926, 1, 1), date(1934, 12, 31)),
]
MODELS: Final = ("alpha-1.0", "beta-1.0")
"""The first of them is two rows: it was released twice under one name, with another file."""


def write_population(
    rng: Random,
    *,
    patients: int,
    zone: str = "UTC",
    genders: tuple[Gender, ...] = tuple(Gender),
    sites: tuple[AnatomSiteGeneral, ...] = tuple(AnatomSiteGeneral),
) -> tuple[Clinic, User]:
    """Write a clinic with random records, behind the services' back; gives it with a clinician of it."""
    clinic = ClinicFactory(time_zone=zone)
    user = UserFactory(clinic=clinic, role=Role.CLINICIAN)
    models = _models()
    for number in range(patients):
        patient = Patient(
            public_id=uuid.uuid4(),
            clinic=clinic,
            mrn=f"P-{number}",
            family_name="F",
            given_name="G",
            search_name="f g",
            birth_date=rng.choice(BIRTHS) if rng.random() < 0.5 else _day(rng, date(1920, 1, 1), FIRST_DAY),
            gender=rng.choice(genders),
            fitzpatrick_skin_type=rng.choice([None, *FitzpatrickSkinType]),
            consent_to_ai_analysis=True,
        )
        session.add(patient)
        for lesion_number in range(1, rng.choice([1, 1, 1, 2, 3]) + 1):
            lesion = Lesion(
                public_id=uuid.uuid4(),
                patient=patient,
                number=lesion_number,
                anatom_site_general=rng.choice(sites),
            )
            session.add(lesion)
            for _ in range(rng.choice([0, 1, 1, 2, 3])):
                add_photograph(rng, lesion, user, models, zone)
            for _ in range(rng.choice([0, 0, 0, 1, 2])):
                session.add(
                    Histopathology(
                        public_id=uuid.uuid4(),
                        lesion=lesion,
                        diagnosis="D",
                        outcome=rng.choice(list(OutcomeLabel)),
                        reported_on=rng.choice([rng.choice(EDGE_DAYS), LAST_DAY]),
                        recorded_by_id=user.id,
                    )
                )
    session.commit()
    return clinic, user


def add_photograph(rng: Random, lesion: Lesion, user: User, models: list[ModelVersion], zone: str) -> None:
    """Add a photograph with some answers, and often a review, to the factories' session."""
    day = rng.choice(EDGE_DAYS) if rng.random() < 0.6 else _day(rng, FIRST_DAY, LAST_DAY)
    # Around midnight the clinic's day is another one than that of UTC; two photographs may share a moment.
    moment = datetime.combine(day, rng.choice([time(0, 0), time(12, 0), time(23, 59, 59)]), tzinfo=UTC)
    key = uuid.uuid4().hex
    image = LesionImage(
        public_id=uuid.uuid4(),
        lesion=lesion,
        storage_key=key,
        sha256="0" * 64,
        upload_sha256="0" * 64,
        size_bytes=1,
        width_px=1,
        height_px=1,
        image_type=ImageType.DERMOSCOPIC,
        captured_at=moment,
        captured_on=moment.astimezone(ZoneInfo(zone)).date(),
        created_by_id=user.id,
    )
    session.add(image)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        session.add(_answer(rng.choice(list(OutcomeLabel)), image, rng.choice(models), user))
        session.flush()  # one after another: the last one counts
    if rng.random() < 0.4:
        session.add(
            Review(
                public_id=uuid.uuid4(),
                lesion_image=image,
                conclusion=rng.choice(list(OutcomeLabel)),
                plan=ReviewPlan.BIOPSY,
                signed_by_id=user.id,
            )
        )


def count_population(clinic: Clinic) -> None:
    """Bring the statistics of a clinic up to date; within an app context."""
    ids = list(db.session.scalars(select(Patient.id).where(Patient.clinic_id == clinic.id)))
    if ids:
        recount_patients(patient_ids=ids, clinic_id=clinic.id)
    db.session.commit()


def _answer(label: OutcomeLabel, image: LesionImage, model: ModelVersion, user: User) -> Prediction:
    return Prediction(
        public_id=uuid.uuid4(),
        lesion_image=image,
        model_version_id=model.id,
        malignancy_probability=0.5,
        label=label,
        threshold=0.5,
        operating_point="o",
        preprocessing_version="1",
        image_sha256="0" * 64,
        latency_s=0,
        created_by_id=user.id,
    )


def _models() -> list[ModelVersion]:
    """The released models, made where they are not there yet."""
    found = list(session.scalars(select(ModelVersion).where(ModelVersion.name.in_(["alpha", "beta"]))))
    return found or [ModelVersionFactory(name=name, version="1.0") for name in ("alpha", "alpha", "beta")]


def _day(rng: Random, first: date, last: date) -> date:
    return first + timedelta(days=rng.randrange((last - first).days + 1))
