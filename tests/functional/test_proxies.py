"""Whose word is taken for where a request comes from: that of as many proxies as are said to be ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from melanoma_app.models import AuditEvent, User
from melanoma_app.models.vocabulary import AuditAction
from tests.browsing import Browser
from tests.factories import PASSWORD
from tests.records import Records

PROXY, CLIENT, LIE = "10.0.0.1", "198.51.100.7", "203.0.113.99"


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    ("proxies", "forwarded", "origin"),
    [
        ("0", CLIENT, PROXY),
        ("1", CLIENT, CLIENT),
        ("1", f"{LIE}, {CLIENT}", CLIENT),
        ("1", None, PROXY),
        ("2", f"{LIE}, {CLIENT}, 10.0.0.2", CLIENT),
    ],
)
def test_audit_names_whom_our_own_proxies_have_seen_when_the_header_says_more(
    make_app: Callable[..., Flask],
    user: User,
    records: Records,
    proxies: str,
    forwarded: str | None,
    origin: str,
) -> None:
    client = make_app(TRUSTED_PROXIES=proxies).test_client()
    client.environ_base["REMOTE_ADDR"] = PROXY
    if forwarded is not None:
        client.environ_base["HTTP_X_FORWARDED_FOR"] = forwarded

    Browser(client).sign_in(user.username, PASSWORD)

    assert records.one(AuditEvent, AuditEvent.action == AuditAction.SIGN_IN).origin == origin


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("proxies", "scheme"), [("0", "http"), ("1", "https")])
def test_addresses_are_of_the_scheme_the_client_used_when_our_proxy_says_so(
    make_app: Callable[..., Flask], proxies: str, scheme: str
) -> None:
    app = make_app(TRUSTED_PROXIES=proxies)

    @app.get("/scheme")
    def tell() -> str:
        from flask import request

        return request.scheme

    response = app.test_client().get("/scheme", headers={"X-Forwarded-Proto": "https"})

    assert response.get_data(as_text=True) == scheme


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_host_is_what_the_client_asked_for_when_a_header_names_another(
    make_app: Callable[..., Flask], user: User
) -> None:
    client = make_app(TRUSTED_PROXIES="1").test_client()
    client.environ_base["HTTP_X_FORWARDED_HOST"] = "evil.test"
    client.environ_base["HTTP_X_FORWARDED_PREFIX"] = "/evil"
    browser = Browser(client)
    browser.sign_in(user.username, PASSWORD)

    assert "evil" not in browser.open("/api-docs").response.get_data(as_text=True)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    ("proxies", "sent", "is_taken"),
    [("1", "0123456789abcdef" * 2, True), ("0", "0123456789abcdef" * 2, False), ("1", "a\tlie" * 7, False)],
    ids=["from-our-proxy", "from-anybody", "no-id"],
)
def test_request_has_the_proxys_id_when_it_is_one_and_the_proxy_is_ours(
    make_app: Callable[..., Flask], proxies: str, sent: str, is_taken: bool
) -> None:
    answer = make_app(TRUSTED_PROXIES=proxies).test_client().get("/sign-in", headers={"X-Request-Id": sent})

    assert (answer.headers["X-Request-Id"] == sent) is is_taken
