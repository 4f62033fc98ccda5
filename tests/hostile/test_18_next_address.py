"""Hostile list 18: `next=//evil`."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import User
from tests.authenticators import set_up
from tests.browsing import Browser
from tests.factories import PASSWORD
from tests.records import Records

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # none is asked

TARGETS = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "https://evil.example",
    "http:evil.example",
    "http:///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/\t/evil.example",
    "/%09/evil.example",
    "/\n/evil.example",
    "/\r\nLocation: https://evil.example",
    "javascript:alert(1)",
    "evil.example",
    " //evil.example",
    "/\u2028/evil.example",
    "//evil.example@localhost",
    "",
]


def is_ours(location: str) -> bool:
    """Where a browser would go from here; it reads a backslash as a slash, and leaves tabs and line ends out."""
    return (
        location.isprintable()
        and "\\" not in location
        and urlsplit(urljoin("http://localhost/sign-in", location)).netloc == "localhost"
    )


@pytest.mark.parametrize("target", TARGETS)
def test_target_is_our_own_when_another_site_is_asked_for(
    client: FlaskClient, user: User, target: str
) -> None:
    browser = Browser(client)
    page = browser.open("/sign-in", query_string={"next": target})

    signed_in = browser.send(page.form(), page, follow=False, username=user.username, password=PASSWORD)
    already = client.get("/sign-in", query_string={"next": target})

    assert signed_in.status == already.status_code == 302
    assert is_ours(signed_in.headers["Location"])
    assert is_ours(already.headers["Location"])


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example"])
def test_target_is_our_own_when_another_site_is_asked_for_and_a_code_comes_between(
    client: FlaskClient, app: Flask, user: User, records: Records, target: str
) -> None:
    authenticator = set_up(app, user, records)
    browser = Browser(client)
    first = browser.open("/sign-in", query_string={"next": target})
    second = browser.send(first.form(), first, username=user.username, password=PASSWORD)
    assert second.path == "/sign-in/code"

    after = browser.send(second.form(), second, follow=False, code=authenticator.code())

    assert after.status == 302
    assert is_ours(after.headers["Location"])


@pytest.mark.parametrize("path", ["//evil.example", "//evil.example/%2e%2e", "/\\evil.example"])
def test_sign_in_page_leads_to_us_when_the_page_that_was_asked_for_looks_like_another_site(
    client: FlaskClient, path: str
) -> None:
    response = client.get("/patients", query_string={"search": path})

    assert is_ours(response.headers["Location"])
