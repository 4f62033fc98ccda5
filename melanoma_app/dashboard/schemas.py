"""What the models part of the API takes and gives."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from melanoma_app.models.model_activation import REASON_LENGTH
from melanoma_app.rest import StrictSchema


class ModelDataSchema(Schema):
    """The images a model was trained on."""

    name = fields.String(required=True)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    terms = fields.String(required=True)
    credit = fields.List(fields.String(), required=True)


class ModelSchema(Schema):
    """A model; what stands in its manifest is null once it is no longer on the shelf."""

    id = fields.String(attribute="identifier", required=True, metadata={"description": "Name-version"})
    name = fields.String(required=True)
    version = fields.String(required=True)
    sha256 = fields.String(required=True, metadata={"description": "Of its file; empty if it cannot be read"})
    is_active = fields.Boolean(required=True, metadata={"description": "Scores new photographs"})
    is_on_shelf = fields.Boolean(required=True, metadata={"description": "Is among the released models"})
    problem = fields.String(
        required=True, metadata={"description": "What is wrong with it; empty if nothing is known to be"}
    )
    predictions = fields.Integer(required=True, metadata={"description": "Made in your clinic"})
    input_size_px = fields.Integer(attribute="facts.input_size_px", allow_none=True)
    preprocessing_version = fields.String(attribute="facts.preprocessing_version", allow_none=True)
    threshold = fields.Float(
        attribute="facts.threshold",
        allow_none=True,
        metadata={"description": "Malignant from this probability on"},
    )
    operating_point = fields.String(required=True)
    sensitivity = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "At the threshold, on the model's validation images"},
    )
    specificity = fields.Float(required=True, allow_none=True)
    trained_on = fields.String(attribute="manifest.trained_on")
    data = fields.Nested(ModelDataSchema, attribute="manifest.data")
    metrics = fields.Dict(keys=fields.String(), values=fields.Float(), attribute="manifest.metrics")
    created = fields.AwareDateTime(attribute="manifest.created")


class ActiveModelSchema(Schema):
    """The model that scores new photographs."""

    id = fields.String(attribute="identifier", required=True, metadata={"description": "Name-version"})
    is_default = fields.Boolean(
        required=True, metadata={"description": "From the settings: no administrator has chosen yet"}
    )
    activated_at = fields.AwareDateTime(required=True, allow_none=True)
    problem = fields.String(
        required=True, metadata={"description": "Why it cannot score at present; empty if it can"}
    )


class ModelListSchema(Schema):
    """Every model, and which of them is active."""

    active = fields.Nested(ActiveModelSchema, required=True)
    items = fields.List(fields.Nested(ModelSchema), attribute="models", required=True)


class ActivationSchema(StrictSchema):
    """Which model is to score new photographs."""

    model = fields.String(
        required=True,
        validate=validate.Length(1, 120),
        metadata={"description": "Name-version of a model that is on the shelf"},
    )
    reason = fields.String(
        required=True,
        validate=validate.Length(1, REASON_LENGTH),
        metadata={"description": "Why; kept with the switch, so it names no patient"},
    )
    replaces = fields.String(
        metadata={"description": "The model you saw as active; if another is by now, nothing changes (409)"}
    )
