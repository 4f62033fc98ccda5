"""What the audit page calls each action, and each thing that an entry adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from melanoma_app.models.vocabulary import AuditAction

ACTION_WORDS: Final[Mapping[AuditAction, str]] = {
    AuditAction.SIGN_IN: "Signed in",
    AuditAction.SIGN_IN_FAILED: "Failed to sign in",
    AuditAction.SIGN_IN_HELD: "Sign-in held after wrong passwords",
    AuditAction.SIGN_OUT: "Signed out",
    AuditAction.SESSIONS_REVOKED: "Ended sessions",
    AuditAction.ACCESS_REFUSED: "Was refused access",
    AuditAction.PATIENT_READ: "Opened the patient's record",
    AuditAction.PATIENTS_LISTED: "Saw patients in a list",
    AuditAction.PATIENT_REGISTERED: "Registered the patient",
    AuditAction.PATIENT_EDITED: "Edited the patient",
    AuditAction.PATIENTS_MERGED: "Merged a duplicate",
    AuditAction.PATIENT_MERGE_REVERTED: "Undid a merge",
    AuditAction.CONSENT_RECORDED: "Recorded a consent",
    AuditAction.LESION_ADDED: "Added a lesion",
    AuditAction.LESION_EDITED: "Edited a lesion",
    AuditAction.IMAGE_ADDED: "Added a photograph",
    AuditAction.IMAGE_READ: "Opened a photograph",
    AuditAction.IMAGE_SCORED: "Asked the model again",
    AuditAction.PREDICTION_READ: "Opened a result",
    AuditAction.CHECKLIST_RECORDED: "Filled in a checklist",
    AuditAction.FIRST_READ_RECORDED: "Recorded a first impression",
    AuditAction.REVIEW_SIGNED: "Signed a review",
    AuditAction.ADDENDUM_ADDED: "Added to a signed review",
    AuditAction.HISTOPATHOLOGY_RECORDED: "Recorded a laboratory report",
    AuditAction.REPORT_READ: "Opened a report",
    AuditAction.RECORDS_EXPORTED: "Exported records",
    AuditAction.PATIENT_EXPORTED: "Exported all of the patient's record",
    AuditAction.PATIENT_ERASED: "Erased the patient",
    AuditAction.RESEARCH_EXPORTED: "Exported data for research",
    AuditAction.BACKUP_MADE: "Made a backup",
    AuditAction.BACKUP_RESTORED: "Restored a backup",
    AuditAction.JOB_CREATED: "Began a job",
    AuditAction.JOB_CANCELLED: "Cancelled a job",
    AuditAction.JOB_RETRIED: "Began a job's failed items again",
    AuditAction.MODEL_REGISTERED: "Took in a model",
    AuditAction.MODEL_ACTIVATED: "Switched the model",
    AuditAction.CLINIC_CREATED: "Opened the clinic",
    AuditAction.CLINIC_EDITED: "Changed the clinic's settings",
    AuditAction.USER_CREATED: "Added an account",
    AuditAction.USER_EDITED: "Edited an account",
    AuditAction.USER_DISABLED: "Switched an account off",
    AuditAction.USER_ENABLED: "Switched an account on",
    AuditAction.PASSWORD_CHANGED: "Changed their password",
    AuditAction.PASSWORD_RESET_ISSUED: "Issued a link for a new password",
    AuditAction.PASSWORD_RESET_USED: "Set a password through a link",
    AuditAction.SECOND_FACTOR_ENABLED: "Set up a second factor",
    AuditAction.SECOND_FACTOR_DISABLED: "Removed a second factor",
    AuditAction.SECOND_FACTOR_FAILED: "Gave a wrong second factor",
    AuditAction.RECOVERY_CODES_MADE: "Made recovery codes",
    AuditAction.RECOVERY_CODE_USED: "Used a recovery code",
    AuditAction.TOKEN_CREATED: "Made an API token",
    AuditAction.TOKEN_REVOKED: "Revoked an API token",
    AuditAction.AUDIT_READ: "Read the audit log",
    AuditAction.AUDIT_EXPORTED: "Exported the audit log",
}


def describe_details(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an entry adds, as pairs of words; lists of patients are left to the page, which links to them."""
    return [
        (name.replace("_", " ").capitalize(), _in_words(value))
        for name, value in sorted(details.items())
        if not (name == "patients" and isinstance(value, list))
    ]


def patients_shown(details: Mapping[str, Any]) -> list[str]:
    """The public ids of the patients that a list showed."""
    shown = details.get("patients")
    return shown if isinstance(shown, list) else []  # an export for research says how many


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_in_words(one)}" for name, one in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(_in_words(one) for one in value)
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "–"}[value]
    return str(value)
