"""Records that hold every constraint of the database; name only what a test is about."""

from tests.factories.base import session
from tests.factories.examinations import (
    LesionFactory,
    LesionImageFactory,
    ModelActivationFactory,
    ModelVersionFactory,
    PredictionFactory,
)
from tests.factories.people import (
    OTHER_PASSWORD,
    PASSWORD,
    ApiTokenFactory,
    ClinicFactory,
    PatientFactory,
    UserFactory,
    actor_of,
)

__all__ = [
    "OTHER_PASSWORD",
    "PASSWORD",
    "ApiTokenFactory",
    "ClinicFactory",
    "LesionFactory",
    "LesionImageFactory",
    "ModelActivationFactory",
    "ModelVersionFactory",
    "PatientFactory",
    "PredictionFactory",
    "UserFactory",
    "actor_of",
    "session",
]
