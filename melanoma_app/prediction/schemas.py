"""What the prediction part of the API takes and gives."""

from __future__ import annotations

from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields
from werkzeug.datastructures import FileStorage

from melanoma_app.models.vocabulary import ImageType
from melanoma_app.rest import PredictionSummarySchema, StrictSchema


def _check_is_file(value: object) -> None:
    if not isinstance(value, FileStorage):
        raise ValidationError("Send the photograph as a file, not as text.")


class ExaminationSchema(StrictSchema):
    """A photograph, and how and when it was taken."""

    image = Upload(required=True, validate=_check_is_file, metadata={"description": "A JPEG or PNG file"})
    image_type = fields.Enum(ImageType, by_value=True, load_default=ImageType.DERMOSCOPIC)
    captured_at = fields.AwareDateTime(
        metadata={"description": "When it was taken, with a zone; now if left out"}
    )


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


class LesionImageSchema(Schema):
    """A stored photograph."""

    id = fields.UUID(attribute="public_id", required=True)
    lesion_id = fields.UUID(attribute="lesion.public_id", required=True)
    patient_id = fields.UUID(attribute="lesion.patient.public_id", required=True)
    image_type = fields.Enum(ImageType, by_value=True, required=True)
    sha256 = fields.String(required=True, metadata={"description": "Of the stored bytes"})
    width_px = fields.Integer(required=True)
    height_px = fields.Integer(required=True)
    captured_at = fields.AwareDateTime(required=True)


class PredictionSchema(PredictionSummarySchema):
    """A model's answer for one photograph, as it was stored."""

    threshold = fields.Float(required=True, metadata={"description": "Malignant from this probability on"})
    operating_point = fields.String(required=True)
    preprocessing_version = fields.String(required=True)
    image_sha256 = fields.String(
        required=True, metadata={"description": "Of the uploaded bytes that were scored"}
    )
    latency_s = fields.Float(required=True)
    model = fields.Nested(ModelVersionSchema, attribute="model_version", required=True)
    image = fields.Nested(LesionImageSchema, attribute="lesion_image", required=True)
