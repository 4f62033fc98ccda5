"""The tables. Importing this package makes every one of them known to `Base.metadata`."""

from melanoma_app.models.audit import AuditChain, AuditEvent
from melanoma_app.models.base import Base
from melanoma_app.models.checklist import Checklist
from melanoma_app.models.clinic import Clinic
from melanoma_app.models.consent import ConsentDecision
from melanoma_app.models.counted_test import CountedTest
from melanoma_app.models.file_to_delete import FileToDelete
from melanoma_app.models.first_read import FirstRead
from melanoma_app.models.histopathology import Histopathology
from melanoma_app.models.job import Job, JobItem
from melanoma_app.models.lesion import Lesion, LesionImage
from melanoma_app.models.model_activation import ModelActivation
from melanoma_app.models.open_task import OpenTask
from melanoma_app.models.outcome_count import OutcomeCount
from melanoma_app.models.patient import Patient
from melanoma_app.models.patient_erasure import PatientErasure
from melanoma_app.models.patient_merge import MergedLesion, PatientMerge
from melanoma_app.models.patient_search_key import PatientSearchKey
from melanoma_app.models.prediction import ModelVersion, Prediction
from melanoma_app.models.record_total import RecordTotal
from melanoma_app.models.review import Addendum, Review
from melanoma_app.models.staged_photograph import StagedPhotograph
from melanoma_app.models.user import ApiToken, PasswordReset, RecoveryCode, SecondFactor, User, UserSession

__all__ = [
    "Addendum",
    "ApiToken",
    "AuditChain",
    "AuditEvent",
    "Base",
    "Checklist",
    "Clinic",
    "ConsentDecision",
    "CountedTest",
    "FileToDelete",
    "FirstRead",
    "Histopathology",
    "Job",
    "JobItem",
    "Lesion",
    "LesionImage",
    "MergedLesion",
    "ModelActivation",
    "ModelVersion",
    "OpenTask",
    "OutcomeCount",
    "PasswordReset",
    "Patient",
    "PatientErasure",
    "PatientMerge",
    "PatientSearchKey",
    "Prediction",
    "RecordTotal",
    "RecoveryCode",
    "Review",
    "SecondFactor",
    "StagedPhotograph",
    "User",
    "UserSession",
]
