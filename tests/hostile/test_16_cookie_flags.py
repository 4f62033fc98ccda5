"""Hostile list 16: cookie flags."""

from __future__ import annotations

from collections.abc import Callable
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import User
from tests.browsing import Browser
from tests.factories import PASSWORD

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def cookies_of_a_sign_in(client: FlaskClient, user: User, **options: str) -> dict[str, Morsel[Any]]:
    """Every cookie that a sign-in sets, by name."""
    page = Browser(client).open("/sign-in", **options)
    data = {
        "csrf_token": page.form().find("input", attrs={"name": "csrf_token"})["value"],
        "username": user.username,
        "password": PASSWORD,
    }
    response = client.post("/sign-in", data=data, **options)
    assert response.status_code == 302, response.get_data(as_text=True)
    cookies = SimpleCookie()
    for header in response.headers.getlist("Set-Cookie"):
        cookies.load(header)
    return dict(cookies)


def test_cookie_is_closed_to_scripts_and_other_sites_when_set(client: FlaskClient, user: User) -> None:
    cookies = cookies_of_a_sign_in(client, user)

    assert set(cookies) == {"session"}
    flags = cookies["session"]
    assert flags["httponly"] is True
    assert flags["samesite"] == "Lax"
    assert (flags["path"], flags["domain"]) == ("/", "")
    assert not flags["secure"]


def test_cookie_goes_with_the_browser_when_it_is_closed(client: FlaskClient, user: User) -> None:
    flags = cookies_of_a_sign_in(client, user)["session"]

    assert (flags["expires"], flags["max-age"]) == ("", "")


def test_cookie_is_of_this_host_and_tls_alone_when_in_production(
    make_app: Callable[..., Flask], user: User
) -> None:
    """What `__Host-` asks for (RFC 6265bis, 4.1.3.2): Secure, the path `/`, and no domain."""
    client = make_app(ENVIRONMENT="production").test_client()

    cookies = cookies_of_a_sign_in(client, user, base_url="https://localhost")

    assert set(cookies) == {"__Host-session"}
    flags = cookies["__Host-session"]
    assert flags["secure"] is True
    assert flags["httponly"] is True
    assert flags["samesite"] == "Lax"
    assert (flags["path"], flags["domain"]) == ("/", "")
