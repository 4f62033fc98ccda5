"""What each role may do: one permission an action, one map."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from melanoma_app.models.vocabulary import Role


class Permission(StrEnum):
    """Something a person may be allowed to do in their own clinic."""

    READ_PATIENTS = "patients:read"
    WRITE_PATIENTS = "patients:write"
    MERGE_PATIENTS = "patients:merge"
    ADD_IMAGES = "images:add"
    REVIEW = "reviews:sign"
    EXPORT_RECORDS = "records:export"
    READ_STATISTICS = "statistics:read"
    READ_MODELS = "models:read"
    MANAGE_MODELS = "models:manage"
    MANAGE_USERS = "users:manage"
    MANAGE_CLINIC = "clinic:manage"
    READ_AUDIT = "audit:read"
    ERASE_PATIENTS = "patients:erase"
    EXPORT_RESEARCH = "research:export"


_READING_NUMBERS: Final = frozenset({Permission.READ_STATISTICS, Permission.READ_MODELS})
_RECORD_KEEPING: Final = _READING_NUMBERS | {
    Permission.READ_PATIENTS,
    Permission.WRITE_PATIENTS,
    Permission.ADD_IMAGES,
}

ROLE_PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.ADMIN: _RECORD_KEEPING
    | {
        Permission.MANAGE_MODELS,
        Permission.MERGE_PATIENTS,
        Permission.EXPORT_RECORDS,
        Permission.MANAGE_USERS,
        Permission.MANAGE_CLINIC,
        Permission.READ_AUDIT,
        Permission.ERASE_PATIENTS,
        Permission.EXPORT_RESEARCH,
    },
    Role.CLINICIAN: _RECORD_KEEPING
    | {Permission.REVIEW, Permission.MERGE_PATIENTS, Permission.EXPORT_RECORDS},
    Role.NURSE: _RECORD_KEEPING,
    Role.ANALYST: _READING_NUMBERS,
}


def is_permitted(role: Role, permission: Permission) -> bool:
    """Whether the role may do it."""
    return permission in ROLE_PERMISSIONS[role]
