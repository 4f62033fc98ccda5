"""How the accounts pages say what a permission lets one do, what a role is for, and which browser it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from melanoma_app.models.vocabulary import Role
from melanoma_app.security.permissions import Permission

PERMISSION_WORDS: Final[Mapping[Permission, str]] = {
    Permission.READ_PATIENTS: "Read patients, lesions, photographs and results",
    Permission.WRITE_PATIENTS: "Register and edit patients, lesions and consents",
    Permission.MERGE_PATIENTS: "Merge two records of one patient, and undo it",
    Permission.ADD_IMAGES: "Add photographs and have them scored",
    Permission.REVIEW: "Sign reviews",
    Permission.EXPORT_RECORDS: "Export lists of records, and a patient as FHIR",
    Permission.READ_STATISTICS: "Read statistics, in which nobody can be told apart",
    Permission.READ_MODELS: "Read about the models",
    Permission.MANAGE_MODELS: "Switch the model that scores new photographs",
    Permission.MANAGE_USERS: "Look after the clinic's users",
    Permission.MANAGE_CLINIC: "Change the clinic's settings",
    Permission.READ_AUDIT: "Read and export the audit log",
    Permission.ERASE_PATIENTS: "Erase patients",
    Permission.EXPORT_RESEARCH: "Export anonymised records for research",
}
"""In the order in which a person should read them."""

ROLE_WORDS: Final[Mapping[Role, str]] = {
    Role.ADMIN: "Administrator: records, users, settings, audit; signs no reviews",
    Role.CLINICIAN: "Clinician: records, signs reviews, merges, exports",
    Role.NURSE: "Nurse: records and photographs",
    Role.ANALYST: "Analyst: statistics and models, no patients",
}

_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
"""Marks of a user agent, the most telling first: most browsers call themselves by their ancestors' names, too."""
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def describe_browser(user_agent: str) -> str:
    """`Firefox on Windows`: enough to know one's own browsers apart, and proof of nothing."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "A browser or program")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser
