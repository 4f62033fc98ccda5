"""What the photographs and predictions part of the API takes and gives."""

from __future__ import annotations

from flask_smorest.fields import Upload
from marshmallow import ValidationError, fields, validate
from werkzeug.datastructures import FileStorage

from melanoma_app.models.lesion import LARGEST_LESION_MM, QUALITY_OVERRIDE_LENGTH
from melanoma_app.models.vocabulary import ImageType
from melanoma_app.prediction.review_schemas import (
    RecordedChecklistSchema,
    RecordedFirstReadSchema,
    ReviewSchema,
)
from melanoma_app.record_schemas import AnswerSchema, ImageRecordSchema, PlacedImageSchema
from melanoma_app.rest import StrictSchema


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
    clin_size_long_diam_mm = fields.Float(
        validate=validate.Range(min=0, max=LARGEST_LESION_MM, min_inclusive=False),
        metadata={"description": "The lesion's longest diameter on that day"},
    )
    quality_override_reason = fields.String(
        validate=validate.Length(max=QUALITY_OVERRIDE_LENGTH),
        metadata={"description": "Why a photograph that the quality gate stops must do"},
    )


class PredictionSchema(AnswerSchema):
    """A model's answer for one photograph, as it was stored."""

    captured_at = fields.AwareDateTime(attribute="lesion_image.captured_at", required=True)
    image = fields.Nested(PlacedImageSchema, attribute="lesion_image", required=True)


class ResultSchema(ImageRecordSchema):
    """A photograph with everything that was said of it."""

    beside = ImageRecordSchema.beside | {"first_reads", "checklist"}

    review = fields.Nested(
        ReviewSchema, required=True, allow_none=True, metadata={"description": "null: not signed"}
    )
    first_reads = fields.List(
        fields.Nested(RecordedFirstReadSchema),
        required=True,
        metadata={"description": "What clinicians took the lesion for, the earliest first"},
    )
    checklist = fields.Nested(
        RecordedChecklistSchema,
        required=True,
        allow_none=True,
        metadata={"description": "The newest one; null: nobody has gone through one"},
    )
