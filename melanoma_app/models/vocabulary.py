"""The closed vocabularies: stored by value, constrained in the database, worded for people by `label`."""

from enum import StrEnum


class Role(StrEnum):
    """What a user is in the clinic; `security/permissions.py` says what each may do."""

    ADMIN = "admin"
    CLINICIAN = "clinician"
    NURSE = "nurse"
    ANALYST = "analyst"


class Gender(StrEnum):
    """FHIR AdministrativeGender."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


class BirthDatePrecision(StrEnum):
    """Whether the birth date is documented or estimated."""

    EXACT = "exact"
    ESTIMATED = "estimated"


class FitzpatrickSkinType(StrEnum):
    """Fitzpatrick 1988, doi 10.1001/archderm.1988.01670060015008."""

    I = "I"  # noqa: E741 (the scale's own name)
    II = "II"
    III = "III"
    IV = "IV"
    V = "V"
    VI = "VI"


class AnatomSiteGeneral(StrEnum):
    """`anatom_site_general` of the ISIC metadata dictionary."""

    HEAD_NECK = "head/neck"
    UPPER_EXTREMITY = "upper extremity"
    LOWER_EXTREMITY = "lower extremity"
    ANTERIOR_TORSO = "anterior torso"
    LATERAL_TORSO = "lateral torso"
    POSTERIOR_TORSO = "posterior torso"
    PALMS_SOLES = "palms/soles"
    ORAL_GENITAL = "oral/genital"


class Laterality(StrEnum):
    """The patient's own side, never the onlooker's."""

    LEFT = "left"
    RIGHT = "right"
    MIDLINE = "midline"


class BodyView(StrEnum):
    """Which drawing of the body map a lesion is marked on."""

    FRONT = "front"
    BACK = "back"


class ConsentPurpose(StrEnum):
    """What a patient agrees to, or not."""

    CARE = "care"
    AI_ANALYSIS = "ai_analysis"
    RESEARCH = "research"


class ImageType(StrEnum):
    """`image_type` of the ISIC metadata dictionary."""

    DERMOSCOPIC = "dermoscopic"
    CLINICAL_CLOSE_UP = "clinical: close-up"
    CLINICAL_OVERVIEW = "clinical: overview"


class OutcomeLabel(StrEnum):
    """What the model calls an image: malignant is a positive test, benign a negative one."""

    MALIGNANT = "malignant"
    BENIGN = "benign"


class ClinicalImpression(StrEnum):
    """What a clinician takes a lesion for before the model's answer is shown."""

    BENIGN = "benign"
    MALIGNANT = "malignant"
    UNSURE = "unsure"


class ReviewPlan(StrEnum):
    """What a clinician decides to do about a lesion."""

    REASSURE = "reassure"
    MONITOR = "monitor"
    REFER = "refer"
    BIOPSY = "biopsy"


class OpenTaskKind(StrEnum):
    """What the worklist waits for."""

    UNSIGNED = "unsigned"
    HISTOLOGY = "histology"
    MONITORING = "monitoring"


class StatisticsUnit(StrEnum):
    """What a statistic counts."""

    TEST = "test"
    LESION = "lesion"
    PATIENT = "patient"


class Dimension(StrEnum):
    """What a statistic counts by."""

    OUTCOME = "outcome"
    GENDER = "gender"
    AGE = "age"
    SITE = "site"
    SKIN_TYPE = "skin-type"
    MODEL = "model"
    PERIOD = "period"


class Period(StrEnum):
    """How long a step of a trend is; a week is that of ISO 8601 and begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class ComparedWith(StrEnum):
    """What a counted test is set against, and what that says; NOTHING for the count of all tests."""

    NOTHING = "nothing"
    REVIEW_MALIGNANT = "review: malignant"
    REVIEW_BENIGN = "review: benign"
    HISTOLOGY_MALIGNANT = "histology: malignant"
    HISTOLOGY_BENIGN = "histology: benign"


class JobKind(StrEnum):
    """What a job does."""

    RESCORE = "rescore"
    IMPORT_IMAGES = "import_images"
    BULK_UPLOAD = "bulk_upload"


class JobState(StrEnum):
    """How far a job is; one that collects waits for photographs, and nobody works on it yet."""

    COLLECTING = "collecting"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobItemState(StrEnum):
    """What has become of one item of a job."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class AuditAction(StrEnum):
    """What an audit event tells of."""

    SIGN_IN = "sign_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGN_OUT = "sign_out"
    USER_CREATED = "user_created"
    TOKEN_CREATED = "token_created"  # noqa: S105 (an action, not a secret)
    CLINIC_CREATED = "clinic_created"
    PATIENT_REGISTERED = "patient_registered"
    PATIENT_EDITED = "patient_edited"
    PATIENT_READ = "patient_read"
    PATIENTS_LISTED = "patients_listed"
    LESION_ADDED = "lesion_added"
    IMAGE_ADDED = "image_added"
    IMAGE_READ = "image_read"
    PREDICTION_READ = "prediction_read"
    MODEL_REGISTERED = "model_registered"
    MODEL_ACTIVATED = "model_activated"
    PATIENTS_MERGED = "patients_merged"
    PATIENT_MERGE_REVERTED = "patient_merge_reverted"
    CONSENT_RECORDED = "consent_recorded"
    LESION_EDITED = "lesion_edited"
    IMAGE_SCORED = "image_scored"
    CHECKLIST_RECORDED = "checklist_recorded"
    FIRST_READ_RECORDED = "first_read_recorded"
    REVIEW_SIGNED = "review_signed"
    ADDENDUM_ADDED = "addendum_added"
    HISTOPATHOLOGY_RECORDED = "histopathology_recorded"
    REPORT_READ = "report_read"
    RECORDS_EXPORTED = "records_exported"
    USER_EDITED = "user_edited"
    USER_DISABLED = "user_disabled"
    USER_ENABLED = "user_enabled"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    PASSWORD_RESET_ISSUED = "password_reset_issued"  # noqa: S105
    PASSWORD_RESET_USED = "password_reset_used"  # noqa: S105
    SECOND_FACTOR_ENABLED = "second_factor_enabled"
    SECOND_FACTOR_DISABLED = "second_factor_disabled"
    SECOND_FACTOR_FAILED = "second_factor_failed"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    RECOVERY_CODE_USED = "recovery_code_used"
    SESSIONS_REVOKED = "sessions_revoked"
    SIGN_IN_HELD = "sign_in_held"
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    CLINIC_EDITED = "clinic_edited"
    ACCESS_REFUSED = "access_refused"
    AUDIT_READ = "audit_read"
    AUDIT_EXPORTED = "audit_exported"
    PATIENT_EXPORTED = "patient_exported"
    PATIENT_ERASED = "patient_erased"
    RESEARCH_EXPORTED = "research_exported"
    BACKUP_MADE = "backup_made"
    BACKUP_RESTORED = "backup_restored"
    JOB_CREATED = "job_created"
    JOB_CANCELLED = "job_cancelled"
    JOB_RETRIED = "job_retried"
