"""Hostile list 7: statistics without a token or for another clinic."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, User
from melanoma_app.models.base import utc_now
from tests.api import error_of
from tests.browsing import Browser
from tests.factories import ApiTokenFactory, UserFactory
from tests.functional.test_borders import OPERATIONS

STATISTICS = [
    one.partition(" ")[2].replace("crosstab", "crosstab?rows=gender&columns=age")
    for one in OPERATIONS
    if "/statistics/" in one
]
CLINIC_NAMES = ("clinic_id", "clinic", "clinic_public_id", "tenant", "user_id")


@pytest.fixture
def refused(clinic: Clinic, user: User) -> dict[str, str]:
    """Tokens that open nothing any more, and what is no token."""
    ApiTokenFactory(user=user, secret="expired", expires_at=utc_now() - timedelta(seconds=1))
    ApiTokenFactory(user=user, secret="revoked", revoked_at=utc_now())
    ApiTokenFactory(user=UserFactory(clinic=clinic, is_active=False), secret="disabled")
    return {
        "expired": "Bearer expired",
        "revoked": "Bearer revoked",
        "of somebody disabled": "Bearer disabled",
        "unknown": "Bearer nothing-of-ours",
        "empty": "Bearer ",
        "basic": "Basic ZXhwaXJlZDpleHBpcmVk",
    }


def test_no_number_leaves_when_the_token_is_missing_or_over(
    client: FlaskClient, refused: dict[str, str]
) -> None:
    for address in STATISTICS:
        error_of(client.get(address), HTTPStatus.UNAUTHORIZED)
        for authorization in refused.values():
            error_of(client.get(address, headers={"Authorization": authorization}), HTTPStatus.UNAUTHORIZED)
        join = "&" if "?" in address else "?"
        for name in ("token", "access_token", "api_key"):
            error_of(client.get(f"{address}{join}{name}=revoked"), HTTPStatus.UNAUTHORIZED)


def test_only_the_own_clinic_counts_when_another_is_asked_for(
    client: FlaskClient, headers: dict[str, str], browser: Browser, outsider: User, ids: dict[str, str]
) -> None:
    theirs = (str(outsider.clinic.id), str(outsider.clinic.public_id))
    for address in STATISTICS:
        join = "&" if "?" in address else "?"
        for name in CLINIC_NAMES:
            answer = client.get(f"{address}{join}{name}={theirs[0]}", headers=headers)
            assert list(error_of(answer, HTTPStatus.UNPROCESSABLE_ENTITY)["fields"]) == [name]
    for address in ("/", "/crosstab", "/statistics.csv?chart=gender", "/examinations"):
        join = "&" if "?" in address else "?"
        for name in CLINIC_NAMES[:2]:
            page = browser.client.get(f"{address}{join}{name}={theirs[1]}")
            assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, (address, name)
