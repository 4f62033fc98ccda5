"""The tables. Importing this package makes every one of them known to `Base.metadata`."""

from melanoma_app.models.audit import AuditChain, AuditEvent
from melanoma_app.models.base import Base
from melanoma_app.models.clinic import Clinic
from melanoma_app.models.lesion import Lesion, LesionImage
from melanoma_app.models.model_activation import ModelActivation
from melanoma_app.models.patient import Patient
from melanoma_app.models.prediction import ModelVersion, Prediction
from melanoma_app.models.user import ApiToken, User

__all__ = [
    "ApiToken",
    "AuditChain",
    "AuditEvent",
    "Base",
    "Clinic",
    "Lesion",
    "LesionImage",
    "ModelActivation",
    "ModelVersion",
    "Patient",
    "Prediction",
    "User",
]
