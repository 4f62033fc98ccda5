"""What the reviews part of the API takes and gives: first reads, checklists, reviews and addenda."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from melanoma_app.models import Checklist
from melanoma_app.models.checklist import ABCDE, SEVEN_POINT_SUSPICIOUS_FROM, SEVEN_POINT_WEIGHTS
from melanoma_app.models.review import REVIEW_TEXT_LENGTH
from melanoma_app.models.vocabulary import ClinicalImpression, OutcomeLabel, ReviewPlan
from melanoma_app.record_schemas import ReviewSummarySchema
from melanoma_app.rest import StrictSchema
from melanoma_app.services.first_reads import NOTE_LENGTH
from melanoma_app.services.reviews import CLINICAL_DIAGNOSIS_LENGTH

AbcdeSchema = StrictSchema.from_dict(
    {name: fields.Boolean(required=True) for name in ABCDE}, name="AbcdeSchema"
)
AbcdeSchema.__doc__ = "The ABCDE criteria, each found (true) or looked for and not found (false)."
SevenPointSchema = StrictSchema.from_dict(
    {
        name: fields.Boolean(required=True, metadata={"description": f"{weight} in the score"})
        for name, weight in SEVEN_POINT_WEIGHTS.items()
    },
    name="SevenPointSchema",
)
SevenPointSchema.__doc__ = "The seven-point checklist, each found (true) or looked for and not found (false)."


class NewFirstReadSchema(StrictSchema):
    """A clinician's own impression."""

    impression = fields.Enum(ClinicalImpression, by_value=True, required=True)
    note = fields.String(load_default="", validate=validate.Length(max=NOTE_LENGTH))


class FirstReadSchema(Schema):
    """A clinician's own impression, as it was kept."""

    id = fields.UUID(attribute="public_id", required=True)
    impression = fields.Enum(ClinicalImpression, by_value=True, required=True)
    note = fields.String(required=True)
    answer_was_shown = fields.Boolean(
        required=True, metadata={"description": "The clinician had opened the model's answer before"}
    )
    read_at = fields.AwareDateTime(required=True)


class RecordedFirstReadSchema(FirstReadSchema):
    """A first read, and whose it is."""

    read_by = fields.String(attribute="read_by.display_name", required=True)


class NewChecklistSchema(StrictSchema):
    """What was found; a list that nobody has gone through is null or left out, one of them at most."""

    abcde = fields.Nested(AbcdeSchema, load_default=None, allow_none=True)
    seven_point = fields.Nested(SevenPointSchema, load_default=None, allow_none=True)


class ChecklistSchema(Schema):
    """A checklist, as it was kept, with its score."""

    id = fields.UUID(attribute="public_id", required=True)
    abcde = fields.Nested(AbcdeSchema, required=True, allow_none=True)
    seven_point = fields.Nested(SevenPointSchema, required=True, allow_none=True)
    abcde_count = fields.Integer(required=True, allow_none=True, metadata={"minimum": 0, "maximum": 5})
    seven_point_score = fields.Integer(
        required=True, allow_none=True, metadata={"minimum": 0, "maximum": sum(SEVEN_POINT_WEIGHTS.values())}
    )
    is_suspicious = fields.Boolean(
        required=True,
        metadata={"description": f"The seven-point score is {SEVEN_POINT_SUSPICIOUS_FROM} or more"},
    )
    recorded_at = fields.AwareDateTime(required=True)

    def get_attribute(self, obj: Checklist, attr: str, default: Any) -> Any:
        """A list that was not gone through is null, though its criteria are columns of the same row."""
        if attr == "abcde":
            return None if obj.abcde_count is None else obj
        if attr == "seven_point":
            return None if obj.seven_point_score is None else obj
        return super().get_attribute(obj, attr, default)


class RecordedChecklistSchema(ChecklistSchema):
    """A checklist, and whose it is."""

    recorded_by = fields.String(attribute="recorded_by.display_name", required=True)


class NewReviewSchema(StrictSchema):
    """A judgement to be signed."""

    prediction_id = fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "The answer you have seen, the newest; null: no model has looked"},
    )
    conclusion = fields.Enum(OutcomeLabel, by_value=True, required=True)
    plan = fields.Enum(ReviewPlan, by_value=True, required=True)
    reason = fields.String(
        load_default="",
        validate=validate.Length(max=REVIEW_TEXT_LENGTH),
        metadata={"description": "Needed when the conclusion is not the model's"},
    )
    clinical_diagnosis = fields.String(
        load_default="", validate=validate.Length(max=CLINICAL_DIAGNOSIS_LENGTH)
    )
    due_on = fields.Date(
        load_default=None,
        allow_none=True,
        metadata={"description": "When to look again: with the plan `monitor`, and with no other"},
    )


class NewAddendumSchema(StrictSchema):
    """Something to be added."""

    text = fields.String(required=True, validate=validate.Length(1, REVIEW_TEXT_LENGTH))


class AddendumSchema(Schema):
    """What was added to a signed review."""

    id = fields.UUID(attribute="public_id", required=True)
    text = fields.String(required=True)
    written_at = fields.AwareDateTime(required=True)


class RecordedAddendumSchema(AddendumSchema):
    """An addendum, and whose it is."""

    written_by = fields.String(attribute="written_by.display_name", required=True)


class ReviewSchema(ReviewSummarySchema):
    """A signed judgement with what was added to it, the earliest first."""

    prediction_id = fields.UUID(
        attribute="prediction.public_id",
        required=True,
        allow_none=True,
        dump_default=None,
        metadata={"description": "The answer that was signed on; null: no model had looked"},
    )
    addenda = fields.List(fields.Nested(RecordedAddendumSchema), required=True)
