"""Hostile list 1: walk the URL map signed out."""

from __future__ import annotations

import re
import uuid
from collections import defaultdict

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import Patient
from tests.functional.test_borders import OPERATIONS, PAGES, PUBLIC
from tests.hostile.doors import address_of, csrf_token
from tests.hostile.stock import take_stock
from tests.records import Records

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY")
SIGN_IN = "/sign-in?next="


def address_by_pattern(ids: dict[str, str]) -> dict[str, str]:
    """Where each rule of the URL map leads to a record that exists."""
    return {
        re.sub(r"{\w+}", "{}", endpoint.partition(" ")[2]): address_of(endpoint, ids)
        for endpoint in (*PAGES, *OPERATIONS)
    }


def test_only_the_public_list_answers_when_every_address_is_tried_in_every_way(
    app: Flask, client: FlaskClient, ids: dict[str, str], records: Records
) -> None:
    patient = records.one(Patient, Patient.public_id == uuid.UUID(ids["patient"]))
    known, before = address_by_pattern(ids), take_stock(records)
    offered: dict[str, set[str]] = defaultdict(set)
    for rule in app.url_map.iter_rules():
        offered[re.sub("<[^>]+>", "{}", rule.rule)] |= rule.methods or set()
    for pattern, methods in offered.items():
        for method in METHODS:
            if f"{method.replace('HEAD', 'GET')} {pattern}" in PUBLIC:
                continue
            address = known.get(pattern, pattern)
            data = {"csrf_token": csrf_token(client)} if method == "POST" else None
            answer = client.open(address, method=method, data=data)
            place, text = (method, address), answer.get_data(as_text=True)
            assert patient.family_name not in text, place
            assert patient.mrn not in text, place
            if method not in methods:
                assert answer.status_code == 405, place
            elif method == "OPTIONS":
                assert (answer.status_code, text) == (200, ""), place
            elif address.startswith("/api/"):
                assert answer.status_code == 401, place
            else:
                assert answer.status_code == 302, place
                assert answer.headers["Location"].startswith(SIGN_IN), place
    assert take_stock(records) == before


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # it is never asked
@pytest.mark.parametrize(
    "path",
    [
        "../config.py",
        "%2e%2e/config.py",
        "..%2fconfig.py",
        "css/../../config.py",
        "//etc/passwd",
        "..%5cconfig.py",
        "css",
        "css/",
        "css/base.css%00.html",
    ],
)
def test_nothing_but_a_static_file_is_served_when_a_path_climbs(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/static/{path}", follow_redirects=True)

    assert answer.status_code == 404
    assert "SECRET_KEY" not in answer.get_data(as_text=True)


def test_stranger_learns_nothing_of_ids_when_they_exist_or_not(
    client: FlaskClient, ids: dict[str, str]
) -> None:
    nobodys = "5d0f7f0e-6c5b-4d5f-9a62-0f5a4a1f0c11"
    for address in ("/api/v1/patients/{}", "/patients/{}", "/images/{}"):
        known = ids["patient"] if "patients" in address else ids["image"]
        answers = [client.get(address.format(one)) for one in (known, nobodys)]
        words = [
            re.sub(r'"request_id":\s*"\w+"|' + f"{known}|{nobodys}", "", one.get_data(as_text=True))
            for one in answers
        ]
        assert answers[0].status_code == answers[1].status_code
        assert words[0] == words[1], address
