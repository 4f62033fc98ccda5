"""The demo: a clinic of made-up patients with drawn images, so that a newcomer sees the app at work."""

from __future__ import annotations

import logging
import os
import secrets
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy import select

from melanoma_app.errors import UnavailableError
from melanoma_app.extensions import db
from melanoma_app.models import Clinic, Patient
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import (
    FitzpatrickSkinType,
    Gender,
    ImageType,
    ReviewPlan,
    Role,
)
from melanoma_app.services.accounts import create_user, has_users
from melanoma_app.services.actor import Actor
from melanoma_app.services.body_map import REGIONS
from melanoma_app.services.clinics import create_clinic
from melanoma_app.services.demo_images import draw_lesion
from melanoma_app.services.demo_stories import DRAWN, Storyteller
from melanoma_app.services.examinations import record_examination
from melanoma_app.services.lesions import add_lesion
from melanoma_app.services.patients import PatientDetails, register_patient

DEMO_USERNAME: Final = "demo"
_PATIENTS: Final = 28
_SIGNED_AFTER_DAYS: Final = 45
"""What is older has been signed, so that the worklist is as long as a working clinic's."""
_FAMILY_NAMES: Final = (
    "Alder",
    "Birch",
    "Cedar",
    "Elm",
    "Hazel",
    "Juniper",
    "Larch",
    "Maple",
    "Oak",
    "Rowan",
    "Willow",
    "Yew",
)
_GIVEN_NAMES: Final = {
    Gender.FEMALE: ("Ada", "Clara", "Edith", "Hanna", "Iris", "Lena", "Mara", "Nora"),
    Gender.MALE: ("Anton", "Bruno", "Emil", "Felix", "Hugo", "Jonas", "Levi", "Otto"),
    Gender.OTHER: ("Alex", "Kim", "Robin", "Sam"),
    Gender.UNKNOWN: ("Chris", "Jo", "Lou", "Toni"),
}

logger = logging.getLogger(__name__)


def is_demo_wanted() -> bool:
    """Whether the database is empty: nobody has an account and there is no patient."""
    is_empty = not has_users() and db.session.scalar(select(Patient.id).limit(1)) is None
    db.session.commit()
    return is_empty


def load_demo(*, instance_folder: Path) -> None:
    """Make the demo clinic, its account and its records, if the database is empty.

    The account's password is drawn at random and kept in the instance folder, readable by its owner alone.
    Most patients are drawn by lot; the last ones show, one each, what the record can do (`demo_stories`). Without a
    usable model the patients by lot are made without images, and the stories are left out.
    """
    if not is_demo_wanted():
        return
    clinic = create_clinic(name="Demo clinic (synthetic records)", is_demo=True)
    password = secrets.token_urlsafe(12)
    _write_password(instance_folder, password)
    user = create_user(
        clinic=clinic, username=DEMO_USERNAME, display_name="Dr Demo", password=password, role=Role.CLINICIAN
    )
    user.clinic = clinic
    actor = Actor(user=user)
    rng = np.random.default_rng(2026)
    storyteller = Storyteller(actor=actor, random=rng)
    try:
        for number in range(1, _PATIENTS + 1):
            _add_patient(number, rng, storyteller)
        storyteller.tell_all()
    except UnavailableError as error:
        logger.warning("the demo has no images: %s", error.__cause__ or error)


def find_demo_account(*, instance_folder: Path) -> tuple[str, str] | None:
    """User name and password of the demo account; None when there is no demo."""
    is_there = db.session.scalar(select(Clinic.id).where(Clinic.is_demo).limit(1)) is not None
    db.session.commit()
    try:
        return (
            (DEMO_USERNAME, _password_file(instance_folder).read_text(encoding="ascii")) if is_there else None
        )
    except FileNotFoundError:
        return None


def _add_patient(number: int, rng: np.random.Generator, storyteller: Storyteller) -> None:
    actor = storyteller.actor
    gender = rng.choice(list(Gender), p=[0.48, 0.46, 0.03, 0.03])
    skin_type = rng.choice(list(FitzpatrickSkinType), p=[0.15, 0.35, 0.3, 0.1, 0.06, 0.04])
    patient = register_patient(
        details=PatientDetails(
            mrn=f"DEMO-{number:04d}",
            family_name=str(rng.choice(_FAMILY_NAMES)),
            given_name=str(rng.choice(_GIVEN_NAMES[Gender(gender)])),
            birth_date=date(2026, 1, 1) - timedelta(days=int(rng.integers(18 * 365, 90 * 365))),
            gender=Gender(gender),
            fitzpatrick_skin_type=FitzpatrickSkinType(skin_type),
            personal_history_of_melanoma=bool(rng.random() < 0.1),
            family_history_of_melanoma=bool(rng.random() < 0.15),
            consent_to_care=True,
            consent_to_ai_analysis=True,
            consent_to_research=bool(rng.random() < 0.5),
        ),
        actor=actor,
    )
    for lesion_number in range(1 + int(rng.random() < 0.35)):
        region = REGIONS[int(rng.integers(len(REGIONS)))]
        lesion = add_lesion(
            patient_public_id=patient.public_id,
            place=storyteller.mark(region.key),
            description=DRAWN,
            actor=actor,
        )
        irregularity = float(rng.beta(0.6, 1.1))  # the served model calls about a third malignant
        days_ago = int(rng.integers(0, 400))
        for visit in range(1 + int(rng.random() < 0.4)):
            taken = int(days_ago * (1 - visit / 2))
            record = record_examination(
                lesion_public_id=lesion.public_id,
                upload=draw_lesion(
                    seed=number * 10 + lesion_number, irregularity=irregularity, size=1 + 0.12 * visit
                ),
                image_type=ImageType.DERMOSCOPIC,
                captured_at=utc_now() - timedelta(days=taken, minutes=5),
                quality_override_reason=DRAWN,
                actor=actor,
            )
            if taken > _SIGNED_AFTER_DAYS:
                storyteller.sign_back_then(record, plan=ReviewPlan.REASSURE, days_ago=taken - 1)


def _password_file(instance_folder: Path) -> Path:
    return instance_folder / "demo_account"


def _write_password(instance_folder: Path, password: str) -> None:
    path = _password_file(instance_folder)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(password)
