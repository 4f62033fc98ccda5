"""What the lesions part of the API takes and gives."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from melanoma_app.models import Lesion
from melanoma_app.models.vocabulary import AnatomSiteGeneral, BodyView, Laterality
from melanoma_app.record_schemas import ImageSummarySchema, OfRecord
from melanoma_app.rest import StrictSchema
from melanoma_app.services.body_map import BodyPlace, describe_site
from melanoma_app.services.lesions import MAXIMUM_DESCRIPTION_LENGTH


class BodyPlaceSchema(StrictSchema):
    """A point of the body map: shares of the drawing's width and height, from its top left corner."""

    view = fields.Enum(BodyView, by_value=True, required=True)
    x = fields.Float(required=True, validate=validate.Range(0, 1))
    y = fields.Float(required=True, validate=validate.Range(0, 1))

    @post_load
    def make_place(self, values: dict[str, Any], **_: Any) -> BodyPlace:
        """The place as services take it."""
        return BodyPlace(**values)


class NewLesionSchema(StrictSchema):
    """Where a lesion is and what it looks like: all of it; what is left out is not known."""

    place = fields.Nested(
        BodyPlaceSchema,
        load_default=None,
        allow_none=True,
        metadata={"description": "Gives site and side as well"},
    )
    anatom_site_general = fields.Enum(
        AnatomSiteGeneral,
        by_value=True,
        load_default=None,
        allow_none=True,
        metadata={"description": "Needed without a place; must not contradict it"},
    )
    laterality = fields.Enum(
        Laterality,
        by_value=True,
        load_default=None,
        allow_none=True,
        metadata={"description": "The patient's own side; must not contradict the place"},
    )
    description = fields.String(load_default="", validate=validate.Length(max=MAXIMUM_DESCRIPTION_LENGTH))


class LesionSiteSchema(Schema):
    """Where a lesion is, in words and codes."""

    label = fields.String(required=True)
    snomed_ct_code = fields.String(required=True, metadata={"description": "Of the part of the body"})
    snomed_ct_display = fields.String(required=True)


class LesionSchema(Schema):
    """A lesion on record."""

    id = fields.UUID(attribute="public_id", required=True)
    number = fields.Integer(required=True, metadata={"description": "Counts within the patient, from 1"})
    anatom_site_general = fields.Enum(AnatomSiteGeneral, by_value=True, required=True)
    laterality = fields.Enum(Laterality, by_value=True, required=True, allow_none=True)
    place = fields.Nested(
        BodyPlaceSchema,
        required=True,
        allow_none=True,
        metadata={"description": "null: nobody has marked it on the body map"},
    )
    site = fields.Nested(LesionSiteSchema, required=True)
    description = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)

    def get_attribute(self, obj: Lesion, attr: str, default: Any) -> Any:
        """The place is three columns of the row; the site is worked out of them."""
        if attr == "place":
            if obj.body_view is None or obj.body_x is None or obj.body_y is None:
                return None
            return BodyPlace(view=obj.body_view, x=obj.body_x, y=obj.body_y)
        if attr == "site":
            return describe_site(obj)
        return super().get_attribute(obj, attr, default)


class LesionRecordSchema(OfRecord, LesionSchema):
    """A lesion with its photographs, newest first."""

    main = "lesion"
    beside = frozenset({"images"})

    images = fields.List(fields.Nested(ImageSummarySchema), required=True)
