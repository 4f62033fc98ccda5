"""What several parts of the API give out alike: a photograph, the answer about it, its review."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from melanoma_app.models.vocabulary import ImageType, OutcomeLabel, ReviewPlan
from melanoma_app.services.predictions import is_uncertain


class ModelVersionSchema(Schema):
    """The model that answered."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    sha256 = fields.String(required=True)
    sensitivity = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "At the threshold, on the model's validation images"},
    )
    specificity = fields.Float(required=True, allow_none=True)
    test_performance = fields.Dict(
        keys=fields.String(),
        required=True,
        allow_none=True,
        metadata={"description": "The same on images it had not seen, with intervals; null: never measured"},
    )


class AnswerSchema(Schema):
    """A model's answer for one photograph. It supports a clinician and never replaces one."""

    id = fields.UUID(attribute="public_id", required=True)
    malignancy_probability = fields.Float(
        required=True, metadata={"minimum": 0, "maximum": 1, "description": "Calibrated"}
    )
    label = fields.Enum(OutcomeLabel, by_value=True, required=True)
    threshold = fields.Float(required=True, metadata={"description": "Malignant from this probability on"})
    is_uncertain = fields.Function(
        is_uncertain,
        required=True,
        metadata={"type": "boolean", "description": "The probability lies in the model's uncertain band"},
    )
    operating_point = fields.String(required=True)
    preprocessing_version = fields.String(required=True)
    image_sha256 = fields.String(required=True, metadata={"description": "Of the bytes that were scored"})
    latency_s = fields.Float(required=True)
    created_at = fields.AwareDateTime(required=True)
    model = fields.Nested(ModelVersionSchema, attribute="model_version", required=True)


class ReviewSummarySchema(Schema):
    """A clinician's signed judgement of a photograph; it is never changed."""

    id = fields.UUID(attribute="public_id", required=True)
    conclusion = fields.Enum(OutcomeLabel, by_value=True, required=True)
    clinical_diagnosis = fields.String(required=True)
    reason = fields.String(required=True, metadata={"description": "Why the model was overridden"})
    plan = fields.Enum(ReviewPlan, by_value=True, required=True)
    due_on = fields.Date(
        required=True, allow_none=True, metadata={"description": "When to look again; for `monitor` alone"}
    )
    signed_at = fields.AwareDateTime(required=True)
    signed_by = fields.String(attribute="signed_by.display_name", required=True)


class QualitySchema(Schema):
    """What the quality gate found."""

    findings = fields.List(
        fields.String(), required=True, metadata={"description": "What is wrong; empty if nothing is"}
    )
    measures = fields.Dict(keys=fields.String(), required=True)


class LesionImageSchema(Schema):
    """A stored photograph."""

    id = fields.UUID(attribute="public_id", required=True)
    image_type = fields.Enum(ImageType, by_value=True, required=True)
    sha256 = fields.String(required=True, metadata={"description": "Of the stored bytes"})
    size_bytes = fields.Integer(required=True)
    width_px = fields.Integer(required=True)
    height_px = fields.Integer(required=True)
    clin_size_long_diam_mm = fields.Float(
        required=True, allow_none=True, metadata={"description": "The lesion's longest diameter on that day"}
    )
    captured_at = fields.AwareDateTime(required=True)
    created_at = fields.AwareDateTime(required=True)
    quality = fields.Nested(
        QualitySchema, required=True, allow_none=True, metadata={"description": "null: no model has looked"}
    )
    quality_override_reason = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it was taken in all the same"}
    )


class PlacedImageSchema(LesionImageSchema):
    """A stored photograph, and whose it is."""

    lesion_id = fields.UUID(attribute="lesion.public_id", required=True)
    patient_id = fields.UUID(attribute="lesion.patient.public_id", required=True)


class OfRecord(Schema):
    """For what is given out of a record: fields of its main row, and a few that stand beside it.

    `beside` names the latter; all others are read from the record's attribute `main`.
    """

    main: str
    beside: frozenset[str]

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Look at the record or at its main row."""
        return super().get_attribute(obj if attr in self.beside else getattr(obj, self.main), attr, default)


class ImageSummarySchema(OfRecord, LesionImageSchema):
    """A photograph with the newest answer about it and its review."""

    main = "image"
    beside = frozenset({"prediction", "review"})

    prediction = fields.Nested(
        AnswerSchema, required=True, allow_none=True, metadata={"description": "null: no model has looked"}
    )
    review = fields.Nested(
        ReviewSummarySchema, required=True, allow_none=True, metadata={"description": "null: not signed"}
    )


class ImageRecordSchema(ImageSummarySchema, PlacedImageSchema):
    """A photograph with whose it is, the newest answer about it and its review."""
