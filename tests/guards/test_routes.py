"""No route without a permission, and none that vanishes unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from config import Settings
from melanoma_app import create_app
from melanoma_app.security.authentication import PERMISSION_ATTRIBUTE
from melanoma_app.security.permissions import Permission

PUBLIC = {
    "static",
    "accounts.sign_in",
    "accounts.check_sign_in",
    "accounts.second_step",
    "accounts.check_code",
    "accounts.open_reset_link",
    "accounts.set_password",
    "accounts.check_set_password",
    "api-docs.openapi_json",
    "health.live",
    "health.ready",
    "metrics.read",
}
SIGNED_IN_ALONE = {
    "accounts.account",
    "accounts.change_own_password",
    "accounts.confirm_own_second_factor",
    "accounts.end_other_sessions",
    "accounts.end_session",
    "accounts.end_token",
    "accounts.make_token",
    "accounts.new_recovery_codes",
    "accounts.remove_own_second_factor",
    "accounts.second_factor",
    "accounts.set_up_second_factor",
    "accounts.sign_out",
    "accounts.tokens",
    "dashboard.api_page",
}
ADDRESSES = """
GET /
GET /account
GET /account/second-factor
GET /account/tokens
GET /api-docs
GET /api/v1/audit
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
GET /api/v1/patients/<uuid:patient_id>/export
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
GET /audit
GET /audit.csv
GET /clinic
GET /crosstab
GET /examinations
GET /examinations.csv
GET /examinations/<uuid:public_id>
GET /examinations/<uuid:public_id>/first-read
GET /examinations/<uuid:public_id>/report
GET /examinations/<uuid:public_id>/report.pdf
GET /health/live
GET /health/ready
GET /images/<uuid:public_id>
GET /images/<uuid:public_id>/thumbnail
GET /jobs
GET /jobs/<uuid:public_id>
GET /jobs/<uuid:public_id>/progress
GET /lesions/<uuid:public_id>
GET /lesions/<uuid:public_id>/compare
GET /lesions/<uuid:public_id>/edit
GET /lesions/<uuid:public_id>/images/new
GET /metrics
GET /models
GET /models/<identifier>
GET /models/<identifier>/plots/<name>
GET /patients
GET /patients.csv
GET /patients/<uuid:public_id>
GET /patients/<uuid:public_id>/edit
GET /patients/<uuid:public_id>/erase
GET /patients/<uuid:public_id>/export.zip
GET /patients/<uuid:public_id>/fhir.json
GET /patients/<uuid:public_id>/merge
GET /patients/new
GET /predictions/<uuid:public_id>
GET /predictions/<uuid:public_id>/heat-map
GET /research
GET /set-password
GET /set-password/<token>
GET /sign-in
GET /sign-in/code
GET /static/<path:filename>
GET /statistics.csv
GET /uploads/new
GET /users
GET /users/<uuid:public_id>
GET /users/new
GET /worklist
GET /worklist.csv
GET /worklist/next
POST /account/password
POST /account/second-factor
POST /account/second-factor/codes
POST /account/second-factor/confirm
POST /account/second-factor/remove
POST /account/sessions/<uuid:public_id>/end
POST /account/sessions/end-others
POST /account/tokens
POST /account/tokens/<uuid:public_id>/revoke
POST /api/v1/images/<uuid:image_id>/checklists
POST /api/v1/images/<uuid:image_id>/first-reads
POST /api/v1/images/<uuid:image_id>/predictions
POST /api/v1/images/<uuid:image_id>/review
POST /api/v1/lesions/<uuid:lesion_id>/histopathology
POST /api/v1/lesions/<uuid:lesion_id>/images
POST /api/v1/merges/<uuid:merge_id>/revert
POST /api/v1/patients
POST /api/v1/patients/<uuid:patient_id>/consents
POST /api/v1/patients/<uuid:patient_id>/erasure
POST /api/v1/patients/<uuid:patient_id>/lesions
POST /api/v1/patients/<uuid:patient_id>/merge
POST /api/v1/patients/search
POST /api/v1/reviews/<uuid:review_id>/addenda
POST /audit
POST /audit/verify
POST /clinic
POST /examinations/<uuid:public_id>/checklist
POST /examinations/<uuid:public_id>/first-read
POST /examinations/<uuid:public_id>/review
POST /examinations/<uuid:public_id>/score
POST /jobs
POST /jobs/<uuid:public_id>/cancel
POST /jobs/<uuid:public_id>/retry
POST /lesions/<uuid:public_id>/edit
POST /lesions/<uuid:public_id>/histopathology
POST /lesions/<uuid:public_id>/images/new
POST /merges/<uuid:public_id>/revert
POST /models/<identifier>
POST /patients/<uuid:public_id>/consents
POST /patients/<uuid:public_id>/edit
POST /patients/<uuid:public_id>/erase
POST /patients/<uuid:public_id>/lesions
POST /patients/<uuid:public_id>/merge
POST /patients/<uuid:public_id>/merge/search
POST /patients/check
POST /patients/new
POST /patients/search
POST /research
POST /reviews/<uuid:public_id>/addenda
POST /set-password
POST /sign-in
POST /sign-in/code
POST /sign-out
POST /uploads
POST /uploads/<uuid:public_id>/begin
POST /uploads/<uuid:public_id>/photographs
POST /uploads/<uuid:public_id>/wanted
POST /users/<uuid:public_id>
POST /users/<uuid:public_id>/clear-second-factor
POST /users/<uuid:public_id>/disable
POST /users/<uuid:public_id>/enable
POST /users/<uuid:public_id>/link
POST /users/new
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
