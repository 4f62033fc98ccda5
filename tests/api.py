"""What the API's answers have in common."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import Any

from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import TestResponse, encode_multipart

from tests.photographs import shoot_again

PATIENT = {
    "mrn": "A-100",
    "family_name": "García",
    "given_name": "Ana",
    "birth_date": "1962-04-27",
    "gender": "female",
    "consent_to_ai_analysis": True,
}
"""A patient as the API takes it: what it must have, and the consent that a prediction needs."""


CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}
"""The contract: programs that call the API compare with these."""


def send_image(
    client: FlaskClient,
    lesion_id: object,
    headers: dict[str, str],
    content: bytes,
    *,
    is_new_shot: bool = True,
    **fields: Any,
) -> TestResponse:
    """Send a photograph as the API takes it: as a file of its own, or as it is."""
    content = shoot_again(content) if is_new_shot else content
    name = fields.pop("file_name", "photo.jpg")
    body, content_type = multipart({"image": FileStorage(BytesIO(content), name), **fields})
    return client.post(
        f"/api/v1/lesions/{lesion_id}/images", data=body, content_type=content_type, headers=headers
    )


def multipart(values: dict[str, Any]) -> tuple[bytes, str]:
    """A form's body and its type; the test client itself would leave a temporary file open."""
    boundary, body = encode_multipart(MultiDict(values))
    return body, f"multipart/form-data; boundary={boundary}"


def error_of(response: TestResponse, status: HTTPStatus) -> dict[str, Any]:
    """Hold an answer to the one error shape, and give what it says."""
    assert response.status_code == status, response.get_data(as_text=True)[:500]
    assert response.mimetype == "application/json"
    assert list(response.json) == ["error"]
    error: dict[str, Any] = response.json["error"]
    assert error.keys() == {"code", "message", "fields", "request_id"}
    assert error["request_id"] == response.headers["X-Request-Id"]
    assert error["message"].endswith(".")
    assert error["code"] == CODES[response.status_code]
    return error
