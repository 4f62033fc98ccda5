"""What the worklist part of the API takes and gives."""

from __future__ import annotations

from marshmallow import Schema, fields

from melanoma_app.models.vocabulary import OutcomeLabel
from melanoma_app.record_schemas import AnswerSchema, OfRecord, PlacedImageSchema, ReviewSummarySchema
from melanoma_app.rest import PageArgumentsSchema


class WorklistArgumentsSchema(PageArgumentsSchema):
    """Which page of the unsigned photographs."""

    outcome = fields.Enum(
        OutcomeLabel,
        by_value=True,
        load_default=None,
        metadata={"description": "Only photographs whose newest prediction says so"},
    )


class WaitingPatientSchema(Schema):
    """Whose it is."""

    id = fields.UUID(attribute="public_id", required=True)
    mrn = fields.String(required=True)
    family_name = fields.String(required=True)
    given_name = fields.String(required=True)


class UnsignedImageSchema(OfRecord, PlacedImageSchema):
    """A photograph that nobody has signed."""

    main = "image"
    beside = frozenset({"prediction"})

    patient = fields.Nested(WaitingPatientSchema, attribute="lesion.patient", required=True)
    prediction = fields.Nested(
        AnswerSchema, required=True, allow_none=True, metadata={"description": "null: no model has looked"}
    )


class UnsignedPageSchema(Schema):
    """A page of photographs that nobody has signed."""

    items = fields.List(fields.Nested(UnsignedImageSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class WaitingReviewSchema(ReviewSummarySchema):
    """A signed review that something should have followed, and what it is about."""

    image_id = fields.UUID(attribute="lesion_image.public_id", required=True)
    lesion_id = fields.UUID(attribute="lesion_image.lesion.public_id", required=True)
    patient = fields.Nested(WaitingPatientSchema, attribute="lesion_image.lesion.patient", required=True)


class PendingHistologySchema(OfRecord, WaitingReviewSchema):
    """A review that asked for a biopsy whose report has not come."""

    main = "review"
    beside = frozenset({"is_overdue"})

    is_overdue = fields.Boolean(required=True)


class WorklistSchema(Schema):
    """What there is to do, worked out from the record."""

    unsigned = fields.Nested(UnsignedPageSchema, required=True)
    histology_pending = fields.List(
        fields.Nested(PendingHistologySchema),
        required=True,
        metadata={"description": "The longest wait first, up to 100"},
    )
    monitoring_overdue = fields.List(
        fields.Nested(WaitingReviewSchema),
        required=True,
        metadata={"description": "The longest overdue first, up to 100"},
    )
