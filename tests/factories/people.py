"""Clinics, their staff and their patients."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import date, timedelta
from functools import cache
from typing import Any

import factory

from melanoma_app.models import ApiToken, AuditChain, Clinic, Patient, PatientMerge, User, UserSession
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import BirthDatePrecision, Gender, Role
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.passwords import hash_password
from melanoma_app.services.text import search_name
from tests.factories.base import RecordFactory, session

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple, incorrect"


@cache
def _hash_of(password: str) -> str:
    """Hashed once: Argon2 is slow on purpose."""
    return hash_password(password)


class ClinicFactory(RecordFactory[Clinic]):
    """A clinic with its audit chain."""

    class Meta:
        model = Clinic

    public_id = factory.LazyFunction(uuid.uuid4)
    name = factory.LazyFunction(lambda: f"Clinic {secrets.token_hex(8)}")
    time_zone = "UTC"
    is_demo = False

    @classmethod
    def _create(cls, model_class: type[Clinic], *args: Any, **values: Any) -> Clinic:
        clinic: Clinic = super()._create(model_class, *args, **values)
        session.add(AuditChain(clinic_id=clinic.id))
        session.commit()
        return clinic


class UserFactory(RecordFactory[User]):
    """A member of staff whose password is PASSWORD."""

    class Meta:
        model = User

    public_id = factory.LazyFunction(uuid.uuid4)
    clinic = factory.SubFactory(ClinicFactory)
    username = factory.LazyFunction(lambda: f"user-{secrets.token_hex(6)}")
    display_name = factory.Faker("name")
    password_hash = factory.LazyFunction(lambda: _hash_of(PASSWORD))
    role = Role.CLINICIAN
    is_active = True


class ApiTokenFactory(RecordFactory[ApiToken]):
    """A token whose secret is given as `secret`."""

    class Meta:
        model = ApiToken

    class Params:
        secret = factory.LazyFunction(lambda: secrets.token_urlsafe(16))

    public_id = factory.LazyFunction(uuid.uuid4)
    user = factory.SubFactory(UserFactory)
    name = "a program"
    scopes = factory.LazyFunction(lambda: [one.value for one in Permission])
    token_sha256 = factory.LazyAttribute(lambda token: hashlib.sha256(token.secret.encode()).hexdigest())
    expires_at = factory.LazyFunction(lambda: utc_now() + timedelta(days=1))


class UserSessionFactory(RecordFactory[UserSession]):
    """A browser that is signed in; its cookie would hold `secret`."""

    class Meta:
        model = UserSession

    class Params:
        secret = factory.LazyFunction(lambda: secrets.token_urlsafe(16))

    public_id = factory.LazyFunction(uuid.uuid4)
    user = factory.SubFactory(UserFactory)
    token_sha256 = factory.LazyAttribute(lambda one: hashlib.sha256(one.secret.encode()).hexdigest())
    expires_at = factory.LazyFunction(lambda: utc_now() + timedelta(hours=8))
    origin = "192.0.2.9"
    user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class PatientFactory(RecordFactory[Patient]):
    """A patient who lets a model look at photographs, and whom nobody has asked anything else."""

    class Meta:
        model = Patient

    public_id = factory.LazyFunction(uuid.uuid4)
    clinic = factory.SubFactory(ClinicFactory)
    mrn = factory.Sequence(lambda number: f"MRN-{number:06d}")
    family_name = factory.Faker("last_name")
    given_name = factory.Faker("first_name")
    search_name = factory.LazyAttribute(lambda one: search_name(one.family_name, one.given_name))
    birth_date = date(1962, 4, 27)
    birth_date_precision = BirthDatePrecision.EXACT
    gender = Gender.FEMALE
    consent_to_ai_analysis = True


class PatientMergeFactory(RecordFactory[PatientMerge]):
    """A merge of two patients of one clinic that has not been undone; no lesion was moved."""

    class Meta:
        model = PatientMerge

    public_id = factory.LazyFunction(uuid.uuid4)
    kept = factory.SubFactory(PatientFactory)
    merged = factory.SubFactory(PatientFactory, clinic=factory.SelfAttribute("..kept.clinic"))
    reason = "Registered twice"
    merged_by = factory.SubFactory(UserFactory, clinic=factory.SelfAttribute("..kept.clinic"))


def actor_of(user: User) -> Actor:
    """The user at work."""
    return Actor(user=user, origin="192.0.2.7", request_id="r1")
