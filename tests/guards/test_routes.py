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
GET /api/v1/images/<uuid:image_id>
GET /api/v1/images/<uuid:image_id>/file
GET /api/v1/images/<uuid:image_id>/report
GET /api/v1/images/<uuid:image_id>/thumbnail
GET /api/v1/lesions/<uuid:lesion_id>/comparison
GET /api/v1/lesions/<uuid:lesion_id>/histopathology
GET /api/v1/lesions/<uuid:lesion_id>/history
GET /api/v1/models
GET /api/v1/openapi.json
GET /api/v1/patients
GET /api/v1/patients/<uuid:patient_id>
GET /api/v1/patients/<uuid:patient_id>/consents
GET /api/v1/patients/<uuid:patient_id>/fhir
GET /api/v1/patients/<uuid:patient_id>/timeline
GET /api/v1/predictions/<uuid:prediction_id>
GET /api/v1/predictions/<uuid:prediction_id>/heat-map
GET /api/v1/statistics/age
GET /api/v1/statistics/agreement
GET /api/v1/statistics/crosstab
GET /api/v1/statistics/gender
GET /api/v1/statistics/models
GET /api/v1/statistics/outcomes
GET /api/v1/statistics/sites
GET /api/v1/statistics/skin-types
GET /api/v1/statistics/trend
GET /api/v1/worklist
GET /crosstab
GET /examinations
GET /examinations.csv
GET /examinations/<uuid:public_id>
GET /examinations/<uuid:public_id>/first-read
GET /examinations/<uuid:public_id>/report
GET /examinations/<uuid:public_id>/report.pdf
GET /images/<uuid:public_id>
GET /images/<uuid:public_id>/thumbnail
GET /lesions/<uuid:public_id>
GET /lesions/<uuid:public_id>/compare
GET /lesions/<uuid:public_id>/edit
GET /lesions/<uuid:public_id>/images/new
GET /models
GET /models/<identifier>
GET /models/<identifier>/plots/<name>
GET /patients
GET /patients.csv
GET /patients/<uuid:public_id>
GET /patients/<uuid:public_id>/edit
GET /patients/<uuid:public_id>/fhir.json
GET /patients/<uuid:public_id>/merge
GET /patients/new
GET /predictions/<uuid:public_id>
GET /predictions/<uuid:public_id>/heat-map
GET /sign-in
GET /static/<path:filename>
GET /statistics.csv
GET /worklist
GET /worklist.csv
GET /worklist/next
POST /api/v1/images/<uuid:image_id>/checklists
POST /api/v1/images/<uuid:image_id>/first-reads
POST /api/v1/images/<uuid:image_id>/predictions
POST /api/v1/images/<uuid:image_id>/review
POST /api/v1/lesions/<uuid:lesion_id>/histopathology
POST /api/v1/lesions/<uuid:lesion_id>/images
POST /api/v1/merges/<uuid:merge_id>/revert
POST /api/v1/patients
POST /api/v1/patients/<uuid:patient_id>/consents
POST /api/v1/patients/<uuid:patient_id>/lesions
POST /api/v1/patients/<uuid:patient_id>/merge
POST /api/v1/reviews/<uuid:review_id>/addenda
POST /examinations/<uuid:public_id>/checklist
POST /examinations/<uuid:public_id>/first-read
POST /examinations/<uuid:public_id>/review
POST /examinations/<uuid:public_id>/score
POST /lesions/<uuid:public_id>/edit
POST /lesions/<uuid:public_id>/histopathology
POST /lesions/<uuid:public_id>/images/new
POST /merges/<uuid:public_id>/revert
POST /models/<identifier>
POST /patients/<uuid:public_id>/consents
POST /patients/<uuid:public_id>/edit
POST /patients/<uuid:public_id>/lesions
POST /patients/<uuid:public_id>/merge
POST /patients/check
POST /patients/new
POST /reviews/<uuid:public_id>/addenda
POST /sign-in
POST /sign-out
PUT /api/v1/lesions/<uuid:lesion_id>
PUT /api/v1/models/active
PUT /api/v1/patients/<uuid:patient_id>
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
