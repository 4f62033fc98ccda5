"""What the audit part of the API takes and gives."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.rest import PageArgumentsSchema


class AuditArgumentsSchema(PageArgumentsSchema):
    """Which entries of the audit log."""

    patient = fields.UUID(metadata={"description": "Whom they concern: the patient's id"})
    with_lists = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Also lists that showed the patient; of the last 31 days unless days are given"
        },
    )
    person = fields.String(
        load_default="", validate=validate.Length(max=120), metadata={"description": "The user name"}
    )
    action = fields.Enum(AuditAction, by_value=True, metadata={"description": "What was done"})
    date_from = fields.Date(metadata={"description": "First day, as the clinic's clocks say"})
    date_to = fields.Date(metadata={"description": "Last day"})
    record = fields.UUID(metadata={"description": "The id of the record it was done to"})


class AuditEventSchema(Schema):
    """One entry of the clinic's chain."""

    sequence = fields.Integer(required=True, metadata={"description": "Its number in the clinic's chain"})
    occurred_at = fields.AwareDateTime(required=True)
    action = fields.Enum(AuditAction, by_value=True, required=True)
    person = fields.String(
        attribute="actor_name",
        required=True,
        metadata={"description": "The user name; empty where nobody was known"},
    )
    person_id = fields.UUID(attribute="actor_public_id", required=True, allow_none=True)
    origin = fields.String(required=True, metadata={"description": "The network address, or cli"})
    patient_id = fields.UUID(attribute="patient_public_id", required=True, allow_none=True)
    record_id = fields.UUID(attribute="subject_public_id", required=True, allow_none=True)
    request_id = fields.String(required=True)
    details = fields.Dict(required=True, metadata={"description": "What more is known of it"})
    previous_hash = fields.String(required=True)
    entry_hash = fields.String(required=True)


class AuditPageSchema(Schema):
    """A page of the log, newest first."""

    items = fields.List(fields.Nested(AuditEventSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
