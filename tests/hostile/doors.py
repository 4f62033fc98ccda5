"""Every page and operation of the app, and how to send each what it takes."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from bs4 import BeautifulSoup, Tag
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from tests.api import multipart, send_image
from tests.functional.test_borders import BODIES, FORMS, OPERATIONS, PAGES
from tests.photographs import draw_photograph

OF_A_RECORD: Final = [one for one in (*PAGES, *OPERATIONS) if "{" in one and "{model}" not in one]
"""Every page and operation whose address names a record of a clinic."""


def fill(value: Any, ids: dict[str, str]) -> Any:
    """The value with the ids in the places that are named after them."""
    if isinstance(value, dict):
        return {name: fill(one, ids) for name, one in value.items()}
    return value.format(**ids) if isinstance(value, str) else value


def address_of(endpoint: str, ids: dict[str, str]) -> str:
    """Where a page or operation of the tables is, for the records of these ids."""
    return fill(endpoint.partition(" ")[2], ids)


def csrf_token(client: FlaskClient) -> str:
    """A token for the forms of this client's session, from the form to sign in or to sign out."""
    page = client.get("/sign-in")
    if page.status_code == 302:
        page = client.get("/api-docs")
    holder = BeautifulSoup(page.get_data(as_text=True), "html.parser").find("input", {"name": "csrf_token"})
    assert isinstance(holder, Tag)
    return str(holder["value"])


def call_operation(
    client: FlaskClient, endpoint: str, ids: dict[str, str], headers: dict[str, str], **extra: Any
) -> TestResponse:
    """Call an operation with all that it takes, and perhaps with more in its body."""
    method, address = endpoint.partition(" ")[0], address_of(endpoint, ids)
    if endpoint.endswith("/images"):
        return send_image(client, ids["lesion"], headers, draw_photograph(), **extra)
    if method == "GET":
        return client.get(address, headers=headers, buffered=True)
    body = {**fill(BODIES.get(endpoint, {}), ids), **extra}
    return client.open(address, method=method, json=body or None, headers=headers, buffered=True)


def use_page(
    client: FlaskClient, endpoint: str, ids: dict[str, str], *, token: str, **extra: Any
) -> TestResponse:
    """Open a page, or send its form with all that it takes, and perhaps with more in it."""
    method, address = endpoint.partition(" ")[0], address_of(endpoint, ids)
    if method == "GET":
        return client.get(address, buffered=True)
    values: Any = {"csrf_token": token, **fill(FORMS.get(endpoint, {}), ids), **extra}
    if endpoint == "POST /uploads":
        values |= manifest_field(mrn=ids.get("mrn", ""))
    elif not endpoint.endswith("/images/new"):
        return client.post(address, data=values, buffered=True)
    else:
        values |= photograph_field()
    body, content_type = multipart(values)
    return client.post(address, data=body, content_type=content_type)


def photograph_field() -> dict[str, Any]:
    """A drawn photograph as a form holds it."""
    return {"image": FileStorage(BytesIO(draw_photograph()), "photo.jpg")}


def manifest_field(*, mrn: str) -> dict[str, Any]:
    """The manifest of a bulk upload of one patient's photograph as a form holds it."""
    text = f"image,mrn,anatom_site_general,captured_on\na.jpg,{mrn},head/neck,2024-03-01\n"
    return {"manifest": FileStorage(BytesIO(text.encode()), "manifest.csv")}
