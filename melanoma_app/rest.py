"""What every part of the REST API shares: the OpenAPI document, the error shape, strict schemas."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from flask import Request
from flask_smorest import Api, Blueprint
from marshmallow import RAISE, Schema, fields, validate
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import MultiDict

from melanoma_app.services.paging import MAXIMUM_PAGE_SIZE, PAGE_SIZE

DESCRIPTION: Final = """The record of a skin-lesion clinic: patients, lesions, photographs, predictions, signed reviews,
histopathology, the worklist, statistics.

Every call sends `Authorization: Bearer TOKEN`; `flask tokens create USERNAME` makes a token, which sees what its
owner may see. Times are ISO 8601 with a zone, probabilities 0–1. Every refusal has the same shape (`Error`).
A prediction supports a clinician and never replaces one."""


class StrictSchema(Schema):
    """Unknown fields are refused, not ignored."""

    class Meta:
        unknown = RAISE


class ErrorDetailSchema(Schema):
    """What went wrong."""

    code = fields.String(
        required=True, metadata={"description": "The HTTP status in words", "example": "not_found"}
    )
    message = fields.String(required=True, metadata={"description": "A sentence that says what to do"})
    fields_ = fields.Dict(
        required=True,
        data_key="fields",
        attribute="fields",
        metadata={"description": "Messages by input field, for 409 and 422"},
    )
    request_id = fields.String(required=True, metadata={"description": "Quote it when you ask for help"})


class ErrorSchema(Schema):
    """The one shape of every refusal."""

    error = fields.Nested(ErrorDetailSchema, required=True)


class PageArgumentsSchema(StrictSchema):
    """Which page of a list."""

    cursor = fields.String(
        metadata={"description": "`next_cursor` of the page before; leave it out for the first"}
    )
    size = fields.Integer(
        load_default=PAGE_SIZE,
        validate=validate.Range(1, MAXIMUM_PAGE_SIZE),
        metadata={"description": "Rows a page"},
    )


class ClinicParser(FlaskParser):
    """Leaves unknown names to the schema, which refuses them, and knows forms that hold files."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}
    __location_map__ = {**FlaskParser.__location_map__, "multipart": "load_multipart"}

    def load_multipart(self, request: Request, schema: Schema) -> Any:
        """The form's texts and files together."""
        return self._makeproxy(
            MultiDict([*request.form.items(multi=True), *request.files.items(multi=True)]), schema
        )


class ApiBlueprint(Blueprint):
    """A part of the API."""

    ARGUMENTS_PARSER = ClinicParser()
    DEFAULT_LOCATION_CONTENT_TYPE_MAPPING: ClassVar[dict[str, str]] = {
        **Blueprint.DEFAULT_LOCATION_CONTENT_TYPE_MAPPING,
        "multipart": "multipart/form-data",
    }

    def file_response(self, content_type: str) -> Any:
        """Document an operation that answers with a file."""
        return self.response(200, {"type": "string", "format": "binary"}, content_type=content_type)


class ClinicApi(Api):
    """flask-smorest with our error shape, error handlers and bearer tokens."""

    ERROR_SCHEMA = ErrorSchema

    def __init__(self, app: Any) -> None:
        super().__init__(
            app,
            spec_kwargs={
                "info": {"description": DESCRIPTION},
                "security": [{"bearerToken": []}],
                "servers": [{"url": "/", "description": "This clinic"}],
            },
        )
        self.spec.components.security_scheme("bearerToken", {"type": "http", "scheme": "bearer"})

    def _register_error_handlers(self) -> None:
        """Leave the errors to `melanoma_app.errors`, which answers pages and API alike."""
