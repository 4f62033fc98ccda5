"""What the statistics part of the API takes and gives."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from melanoma_app.models.vocabulary import Gender, OutcomeLabel
from melanoma_app.rest import StrictSchema
from melanoma_app.services.patients import OLDEST_AGE_YEARS

_AGE = validate.Range(0, OLDEST_AGE_YEARS)


class StatisticsArgumentsSchema(StrictSchema):
    """Which tests count."""

    date_from = fields.Date(
        metadata={"description": "First day of the photographs, in the clinic's time zone"}
    )
    date_to = fields.Date(metadata={"description": "Last day"})
    gender = fields.Enum(Gender, by_value=True)
    age_min = fields.Integer(
        validate=_AGE, metadata={"description": "Completed years on the day of the photograph"}
    )
    age_max = fields.Integer(validate=_AGE)
    outcome = fields.Enum(OutcomeLabel, by_value=True)


class OutcomeCountSchema(Schema):
    """How many tests of a group were positive and negative."""

    group = fields.String(required=True)
    positive = fields.Integer(
        required=True, metadata={"description": "Latest prediction of the image says malignant"}
    )
    negative = fields.Integer(required=True, metadata={"description": "It says benign"})
    total = fields.Integer(required=True)


class StatisticsSchema(Schema):
    """The groups, and the filters that were applied."""

    groups = fields.List(fields.Nested(OutcomeCountSchema), required=True)
    filters = fields.Nested(StatisticsArgumentsSchema, required=True)
