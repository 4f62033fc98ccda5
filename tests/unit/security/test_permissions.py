from __future__ import annotations

import pytest

from melanoma_app.models.vocabulary import Role
from melanoma_app.security.permissions import ROLE_PERMISSIONS, Permission, is_permitted

ALLOWED = {
    Role.ADMIN: {
        "patients:read",
        "patients:write",
        "images:add",
        "statistics:read",
        "models:read",
        "models:manage",
        "patients:merge",
        "records:export",
        "users:manage",
        "clinic:manage",
        "audit:read",
        "patients:erase",
        "research:export",
    },
    Role.CLINICIAN: {
        "patients:read",
        "patients:write",
        "patients:merge",
        "images:add",
        "reviews:sign",
        "records:export",
        "statistics:read",
        "models:read",
    },
    Role.NURSE: {"patients:read", "patients:write", "images:add", "statistics:read", "models:read"},
    Role.ANALYST: {"statistics:read", "models:read"},
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_role_may_what_the_table_says_when_asked(role: Role, permission: Permission) -> None:
    assert is_permitted(role, permission) == (permission.value in ALLOWED[role])


def test_every_role_stands_on_the_map_when_a_role_is_added() -> None:
    assert set(ROLE_PERMISSIONS) == set(Role)
