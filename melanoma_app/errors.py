"""What can go wrong, told so that the person knows what to do, and the one HTML and one JSON answer to it."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from flask import Flask, Response, g, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError, OperationalError
from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.inference import QualityFinding

logger = logging.getLogger(__name__)


class ClinicError(Exception):
    """Anything a service refuses; the message is a sentence for the person who asked.

    Args:
        message: What is wrong and what to do about it.
        fields: Messages by the name of the input field they belong to.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST

    def __init__(self, message: str, *, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields or {}


class NotSignedInError(ClinicError):
    """Nobody is known to be asking."""

    status = HTTPStatus.UNAUTHORIZED


class SessionEndedError(NotSignedInError):
    """Somebody was signed in, and is not any more; the message says since when or why."""


class NotPermittedError(ClinicError):
    """The person's role does not allow it."""

    status = HTTPStatus.FORBIDDEN


class NotFoundError(ClinicError):
    """There is no such record, or none that this person may know of."""

    status = HTTPStatus.NOT_FOUND


class ConflictError(ClinicError):
    """The record has changed, or another already holds what must be unique."""

    status = HTTPStatus.CONFLICT


class InvalidInputError(ClinicError):
    """A value cannot be right."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class QualityRefusedError(InvalidInputError):
    """The photograph is not good enough for the model, and nobody has said why it must do.

    Args:
        findings: What is wrong with it, and what to do about each.
    """

    def __init__(self, findings: Sequence[QualityFinding]) -> None:
        problems = [f"{finding.reason} {finding.hint}" for finding in findings]
        super().__init__(
            " ".join((*problems, "If it must be used all the same, say why.")), fields={"quality": problems}
        )
        self.findings = tuple(findings)


class TooLargeError(ClinicError):
    """The file, or the picture in it, is larger than the app takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedImageError(ClinicError):
    """The file is not an image of a kind the app takes."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class NotAcceptableError(ClinicError):
    """The answer cannot be given in any of the forms that were asked for."""

    status = HTTPStatus.NOT_ACCEPTABLE


class UnavailableError(ClinicError):
    """A part the answer needs (database, image store, model) does not work at present."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s: ClassVar = 30


class FileMissingError(UnavailableError):
    """The image store works, but does not have this file."""


class BusyError(UnavailableError):
    """More photographs come in than this process takes at once; in a moment there is room again."""

    retry_after_s: ClassVar = 3


class JobStoppedError(ClinicError):
    """A job cannot be brought to its end: what it was begun for is no longer so."""

    status = HTTPStatus.CONFLICT


class JobPausedError(UnavailableError):
    """A job has to wait until something that it needs works again."""


def register_error_handlers(app: Flask) -> None:
    """Answer every refusal and every failure in one form: JSON below /api/, a page elsewhere."""
    app.register_error_handler(ClinicError, _answer_clinic_error)
    app.register_error_handler(HTTPException, _answer_http_exception)
    app.register_error_handler(CSRFError, _answer_stale_form)
    app.register_error_handler(RecursionError, _answer_endless_nesting)
    app.register_error_handler(DBAPIError, _answer_database_failure)
    app.after_request(_say_when_to_try_again)


def _say_when_to_try_again(response: Response) -> Response:
    """Also where a page shows a refusal beside its own form."""
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers.setdefault("Retry-After", str(UnavailableError.retry_after_s))
    return response


def log_failure(error: ClinicError) -> None:
    """Log what does not work; a page that shows a refusal beside its own form calls this.

    Args:
        error: The refusal; what a person can mend is not logged.
    """
    if isinstance(error, BusyError):
        logger.warning("busy: %s", error)
    elif error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("unavailable: %s", error, exc_info=error.__cause__)


def _answer_clinic_error(error: ClinicError) -> Response:
    log_failure(error)
    response = _answer(error.status, error.message, error.fields)
    if isinstance(error, UnavailableError):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _answer_http_exception(error: HTTPException) -> Response:
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return make_response(error.get_response())
    status = HTTPStatus(error.code)
    response = _answer(status, _PLAIN_WORDS.get(status, error.description or status.phrase), _fields(error))
    for name, value in error.get_headers():
        if name != "Content-Type":
            response.headers[name] = value
    return response


def _answer_stale_form(error: CSRFError) -> Response:
    return _answer(
        HTTPStatus.BAD_REQUEST,
        "The form was open for too long, or was not sent from our own page. Nothing was saved: go back, reload the "
        "page and send it again.",
        {},
    )


def _answer_endless_nesting(error: RecursionError) -> Response:
    """The JSON reader gives up on a body nested thousands of levels deep; any other recursion is our fault."""
    if not request.is_json:
        raise error
    return _answer(
        HTTPStatus.BAD_REQUEST, "The JSON is nested too deeply. Send it as the API describes it.", {}
    )


def _answer_database_failure(error: DBAPIError) -> Response:
    """What cannot be written to the audit log is not done, and says so; what the app asked wrongly is our fault."""
    if "audit_" in (error.statement or ""):
        logger.error("the audit log cannot be written", exc_info=error)
        return _answer(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "This could not be written to the audit log, so it was not done: nothing was saved or shown. Try again "
            "in a minute; if it lasts, tell your engineer.",
            {},
        )
    if not isinstance(error, OperationalError):
        raise error
    logger.error("the database failed", exc_info=error)
    return _answer(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database does not answer, so nothing was saved. Try again in a minute; if it lasts, tell your engineer.",
        {},
    )


# Part of the API's contract, so not taken from HTTPStatus, whose names change with Python.
_CODES = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.NOT_ACCEPTABLE: "not_acceptable",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid",
    HTTPStatus.TOO_MANY_REQUESTS: "too_many_requests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
}

_PLAIN_WORDS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address. Check it, or start from the overview.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take that kind of request.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The file is too large. Send a smaller one.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Some values are missing or wrong.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many attempts. Wait a minute, then try again.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something broke on our side and nothing was saved. "
    "Try again; if it lasts, give your engineer the reference below.",
}


def _fields(error: HTTPException) -> dict[str, Any]:
    """The messages by field that webargs leaves on its 422."""
    data = getattr(error, "data", None)
    if not isinstance(data, dict):
        return {}
    fields: dict[str, Any] = {}
    for location in data.get("messages", {}).values():
        fields |= location if isinstance(location, dict) else {"_request": location}
    return fields


def _answer(status: HTTPStatus, message: str, fields: dict[str, Any]) -> Response:
    if request.path.startswith("/api/"):
        error = {
            "code": _CODES.get(status, f"http_{status.value}"),
            "message": message,
            "fields": fields,
            "request_id": g.get("request_id", ""),
        }
        response = jsonify(error=error)
        if status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
    else:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # Who is signed in stands in the database, which may be what has failed: the page does not ask.
            g.user_session = None
        response = make_response(render_template("errors/error.html", status=status, message=message))
    response.status_code = status
    return response
