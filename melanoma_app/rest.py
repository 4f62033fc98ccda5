"""What every part of the REST API shares: the OpenAPI document, the error shape, strict schemas."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any, ClassVar, Final

from flask import Request
from flask_smorest import Api, Blueprint
from marshmallow import RAISE, Schema, ValidationError, fields, pre_load, validate
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import UnsupportedMediaType

from melanoma_app.security.authentication import PERMISSION_ATTRIBUTE
from melanoma_app.services.paging import MAXIMUM_PAGE_SIZE, PAGE_SIZE

PERMISSION_EXTENSION: Final = "x-required-permission"
"""OpenAPI 3.0 lets only OAuth 2 and OpenID Connect name scopes, so an extension does."""
MOST_FIELDS: Final = 100
LONGEST_FIELD_NAME: Final = 100
DESCRIPTION: Final = """The record of a skin-lesion clinic: patients, lesions, photographs, predictions, signed reviews,
histopathology, the worklist, statistics.

Every call sends `Authorization: Bearer TOKEN`. People make their tokens on their account page, an engineer with
`flask tokens create`; the API itself makes none. A token has scopes: it opens an operation when they hold what the
operation names as `x-required-permission`, and its owner's role allows that, too. Times are ISO 8601 with a zone,
probabilities 0–1. Every refusal has the same shape (`Error`).
A prediction supports a clinician and never replaces one."""


class StrictSchema(Schema):
    """Unknown fields are refused, not ignored; so is text that holds what is no character."""

    class Meta:
        unknown = RAISE

    @pre_load
    def _refuse_what_no_field_takes(self, data: Any, **_options: Any) -> Any:
        if not isinstance(data, Mapping):
            return data  # marshmallow says what is wrong with it
        if len(data) > MOST_FIELDS or any(len(str(name)) > LONGEST_FIELD_NAME for name in data):
            # Every unknown name would come back with a message of its own.
            raise ValidationError("Send the fields that the API describes, and no others.")
        problems = {
            name: ["This holds a NUL or half a character. Send text."]
            for name in data
            if isinstance(value := data[name], str) and not _is_text(value)
        }
        if problems:
            raise ValidationError(problems)
        return data


def _is_text(value: str) -> bool:
    """A NUL ends a text for some programs; half a surrogate pair is no character of any encoding."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


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

    def load_json(self, req: Any, schema: Schema) -> Any:
        """The body; one that says it is something else is refused, or the call would be answered as if it had none."""
        if not req.is_json and (req.content_length or "Transfer-Encoding" in req.headers):
            raise UnsupportedMediaType("Send the body as JSON, with Content-Type: application/json.")
        return super().load_json(req, schema)

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

    def route(self, rule: str, **options: Any) -> Any:
        """As flask-smorest's; the permission that the view's guard asks for stands in the document, too."""
        register = super().route(rule, **options)

        def document_and_register(view: Any) -> Any:
            permission = getattr(view, PERMISSION_ATTRIBUTE, None)
            if permission is not None:
                view = self.doc(**{PERMISSION_EXTENSION: permission.value})(view)
            return register(view)

        return document_and_register

    def file_response(self, content_type: str) -> Any:
        """Document an operation that answers with a file."""
        return self.response(200, {"type": "string", "format": "binary"}, content_type=content_type)


class ClinicApi(Api):
    """flask-smorest with our error shape, error handlers and bearer tokens.

    The OpenAPI document takes half of the time in which an app is made, and few who start one ask for it: it is put
    together when it is first read.
    """

    ERROR_SCHEMA = ErrorSchema

    def __init__(self, app: Any) -> None:
        self._undocumented: list[Blueprint] = []
        self._documenting = Lock()
        super().__init__(
            app,
            spec_kwargs={
                "info": {"description": DESCRIPTION},
                "security": [{"bearerToken": []}],
                "servers": [{"url": "/", "description": "This clinic"}],
            },
        )
        self.spec.components.security_scheme("bearerToken", {"type": "http", "scheme": "bearer"})

    def register_blueprint(self, blp: Blueprint, **options: Any) -> None:
        """Offer a part of the API; the document tells of it later."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blp.name] = self
        self._app.register_blueprint(blp, **options)
        self._undocumented.append(blp)

    def _openapi_json(self) -> Any:
        """The document, with every part of the API in it."""
        with self._documenting:
            while self._undocumented:
                part = self._undocumented.pop(0)
                part.register_views_in_doc(self, self._app, self.spec, name=part.name, parameters=None)
                self.spec.tag({"name": part.name, "description": part.description})
        return super()._openapi_json()

    def _register_error_handlers(self) -> None:
        """Leave the errors to `melanoma_app.errors`, which answers pages and API alike."""
