"""No route without a permission, and none that vanishes unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from config import Settings
from melanoma_app import create_app
from melanoma_app.security.authentication import PERMISSION_ATTRIBUTE
from melanoma_app.security.permissions import Permission

PUBLIC = {"static", "accounts.sign_in", "accounts.check_sign_in", "api-docs.openapi_json"}
SIGNED_IN_ALONE = {"accounts.sign_out", "dashboard.api_page"}
ADDRESSES = """
GET /
GET /api-docs
GET /api/v1/models
GET /api/v1/openapi.json
GET /api/v1/patients
GET /api/v1/patients/<uuid:patient_id>
GET /api/v1/predictions/<uuid:prediction_id>
GET /api/v1/statistics/age
GET /api/v1/statistics/gender
GET /api/v1/statistics/outcomes
GET /examinations
GET /images/<uuid:public_id>
GET /lesions/<uuid:public_id>/images/new
GET /models
GET /models/<identifier>
GET /models/<identifier>/plots/<name>
GET /patients
GET /patients/<uuid:public_id>
GET /patients/<uuid:public_id>/edit
GET /patients/new
GET /predictions/<uuid:public_id>
GET /sign-in
GET /static/<path:filename>
POST /api/v1/lesions/<uuid:lesion_id>/images
POST /api/v1/patients
POST /api/v1/patients/<uuid:patient_id>/lesions
POST /lesions/<uuid:public_id>/images/new
POST /models/<identifier>
POST /patients/<uuid:public_id>/edit
POST /patients/<uuid:public_id>/lesions
POST /patients/check
POST /patients/new
POST /sign-in
POST /sign-out
PUT /api/v1/models/active
"""


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """An app that nobody asks anything."""
    return create_app(Settings.from_environment({"INSTANCE_FOLDER": str(tmp_path), "DEMO": "0"}))


def test_every_route_asks_for_a_permission_when_it_is_not_public(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PUBLIC:
            continue
        view = app.view_functions[rule.endpoint]
        assert hasattr(view, PERMISSION_ATTRIBUTE), f"{rule.endpoint} asks for nothing"
        required = getattr(view, PERMISSION_ATTRIBUTE)
        assert isinstance(required, Permission) or rule.endpoint in SIGNED_IN_ALONE, rule.endpoint


def test_public_list_names_only_routes_that_exist_when_read(app: Flask) -> None:
    assert set(app.view_functions) >= PUBLIC | SIGNED_IN_ALONE


def test_no_address_vanishes_or_appears_unseen_when_the_map_is_read(app: Flask) -> None:
    """Whoever changes an address changes this list, and knows that somebody may have kept a link to it."""
    offered = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert sorted(offered) == ADDRESSES.split("\n")[1:-1]


def test_every_permission_is_asked_for_when_all_routes_are_read(app: Flask) -> None:
    asked = {getattr(view, PERMISSION_ATTRIBUTE, None) for view in app.view_functions.values()}

    assert asked - {None} == set(Permission)
