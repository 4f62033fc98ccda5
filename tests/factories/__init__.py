"""Records that hold every constraint of the database; name only what a test is about."""

from tests.factories.base import session
from tests.factories.examinations import (
    LesionFactory,
    LesionImageFactory,
    ModelActivationFactory,
    ModelVersionFactory,
    PredictionFactory,
)
from tests.factories.judgements import (
    AddendumFactory,
    ChecklistFactory,
    FirstReadFactory,
    HistopathologyFactory,
    ReviewFactory,
)
from tests.factories.people import (
    OTHER_PASSWORD,
    PASSWORD,
    ApiTokenFactory,
    ClinicFactory,
    PatientFactory,
    PatientMergeFactory,
    UserFactory,
    UserSessionFactory,
    actor_of,
)
from tests.factories.work import JobFactory, JobItemFactory, StagedPhotographFactory, UploadFactory

__all__ = [
    "OTHER_PASSWORD",
    "PASSWORD",
    "AddendumFactory",
    "ApiTokenFactory",
    "ChecklistFactory",
    "ClinicFactory",
    "FirstReadFactory",
    "HistopathologyFactory",
    "JobFactory",
    "JobItemFactory",
    "LesionFactory",
    "LesionImageFactory",
    "ModelActivationFactory",
    "ModelVersionFactory",
    "PatientFactory",
    "PatientMergeFactory",
    "PredictionFactory",
    "ReviewFactory",
    "StagedPhotographFactory",
    "UploadFactory",
    "UserFactory",
    "UserSessionFactory",
    "actor_of",
    "session",
]
