"""What the follow-up part of the API takes and gives: a lesion over time, laboratory reports, comparisons."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from melanoma_app.models.histopathology import THICKEST_MM
from melanoma_app.models.vocabulary import AnatomSiteGeneral, Laterality, OutcomeLabel
from melanoma_app.prediction.review_schemas import RecordedAddendumSchema
from melanoma_app.record_schemas import ImageSummarySchema, ModelVersionSchema, ReviewSummarySchema
from melanoma_app.rest import StrictSchema
from melanoma_app.services.histopathology import DIAGNOSIS_LENGTH


class NewHistopathologySchema(StrictSchema):
    """A laboratory report to be recorded."""

    diagnosis = fields.String(required=True, validate=validate.Length(1, DIAGNOSIS_LENGTH))
    outcome = fields.Enum(OutcomeLabel, by_value=True, required=True)
    reported_on = fields.Date(required=True, metadata={"description": "The report's own date"})
    breslow_thickness_mm = fields.Float(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=0, max=THICKEST_MM, min_inclusive=False),
        metadata={"description": "Measured on malignant lesions alone"},
    )


class HistopathologySchema(Schema):
    """A laboratory report on record; a corrected one is a further one, and the newest counts."""

    id = fields.UUID(attribute="public_id", required=True)
    diagnosis = fields.String(required=True)
    outcome = fields.Enum(OutcomeLabel, by_value=True, required=True)
    breslow_thickness_mm = fields.Float(required=True, allow_none=True)
    reported_on = fields.Date(required=True)
    recorded_at = fields.AwareDateTime(required=True)


class RecordedHistopathologySchema(HistopathologySchema):
    """A laboratory report, and who recorded it."""

    recorded_by = fields.String(attribute="recorded_by.display_name", required=True)


class HistopathologyListSchema(Schema):
    """The laboratory reports on a lesion, newest first: the first one counts."""

    items = fields.List(
        fields.Nested(RecordedHistopathologySchema), attribute="histopathology", required=True
    )


class FollowedLesionSchema(Schema):
    """Which lesion it is."""

    id = fields.UUID(attribute="public_id", required=True)
    patient_id = fields.UUID(attribute="patient.public_id", required=True)
    number = fields.Integer(required=True)
    anatom_site_general = fields.Enum(AnatomSiteGeneral, by_value=True, required=True)
    laterality = fields.Enum(Laterality, by_value=True, required=True, allow_none=True)


class TrendPointSchema(Schema):
    """An answer on the trend."""

    image_id = fields.UUID(attribute="image.public_id", required=True)
    captured_at = fields.AwareDateTime(attribute="image.captured_at", required=True)
    malignancy_probability = fields.Float(attribute="prediction.malignancy_probability", required=True)


class TrendSeriesSchema(Schema):
    """The answers of one model at one threshold, oldest photograph first; others cannot be compared with them."""

    model = fields.Nested(ModelVersionSchema, attribute="model_version", required=True)
    threshold = fields.Float(required=True)
    points = fields.List(fields.Nested(TrendPointSchema), required=True)


class LesionReviewSchema(ReviewSummarySchema):
    """A signed judgement, which photograph it is of, and what was added to it."""

    image_id = fields.UUID(attribute="lesion_image.public_id", required=True)
    addenda = fields.List(fields.Nested(RecordedAddendumSchema), required=True)


class LesionHistorySchema(Schema):
    """Everything about a lesion."""

    lesion = fields.Nested(FollowedLesionSchema, required=True)
    images = fields.List(
        fields.Nested(ImageSummarySchema),
        attribute="photographs",
        required=True,
        metadata={"description": "Oldest first"},
    )
    trend = fields.List(fields.Nested(TrendSeriesSchema), required=True)
    reviews = fields.List(
        fields.Nested(LesionReviewSchema), required=True, metadata={"description": "Newest first"}
    )
    histopathology = fields.List(
        fields.Nested(RecordedHistopathologySchema),
        required=True,
        metadata={"description": "Newest first: the first one counts"},
    )


class ComparisonArgumentsSchema(StrictSchema):
    """Which two photographs."""

    left = fields.UUID(load_default=None, metadata={"description": "The oldest if left out"})
    right = fields.UUID(load_default=None, metadata={"description": "The newest if left out"})


class ComparisonSchema(Schema):
    """Two photographs of a lesion; every change is counted from the left one to the right one."""

    lesion = fields.Nested(FollowedLesionSchema, required=True)
    left = fields.Nested(ImageSummarySchema, attribute="left.record", required=True)
    right = fields.Nested(ImageSummarySchema, attribute="right.record", required=True)
    days_between = fields.Integer(required=True)
    probability_change = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "null unless one model version answered for both"},
    )
    size_change_mm = fields.Float(
        required=True, allow_none=True, metadata={"description": "null unless both were measured"}
    )
    has_different_models = fields.Boolean(required=True)
    has_different_image_types = fields.Boolean(required=True)
