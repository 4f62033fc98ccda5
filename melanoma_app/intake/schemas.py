"""What the intake part of the API takes and gives."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from melanoma_app.models.vocabulary import AnatomSiteGeneral, BirthDatePrecision, FitzpatrickSkinType, Gender
from melanoma_app.rest import PageArgumentsSchema, PredictionSummarySchema, StrictSchema
from melanoma_app.services.lesions import MAXIMUM_DESCRIPTION_LENGTH, LesionRecord, PatientRecord


class NewPatientSchema(StrictSchema):
    """A patient to be registered."""

    mrn = fields.String(
        required=True, validate=validate.Length(1, 32), metadata={"description": "Unique in the clinic"}
    )
    family_name = fields.String(required=True, validate=validate.Length(1, 100))
    given_name = fields.String(required=True, validate=validate.Length(1, 100))
    birth_date = fields.Date(required=True)
    birth_date_precision = fields.Enum(
        BirthDatePrecision, by_value=True, load_default=BirthDatePrecision.EXACT
    )
    gender = fields.Enum(
        Gender, by_value=True, required=True, metadata={"description": "FHIR AdministrativeGender"}
    )
    fitzpatrick_skin_type = fields.Enum(
        FitzpatrickSkinType, by_value=True, load_default=None, allow_none=True
    )
    personal_history_of_melanoma = fields.Boolean(load_default=None, allow_none=True)
    family_history_of_melanoma = fields.Boolean(load_default=None, allow_none=True)
    consent_to_care = fields.Boolean(
        load_default=None, allow_none=True, metadata={"description": "null: not asked"}
    )
    consent_to_ai_analysis = fields.Boolean(
        load_default=None,
        allow_none=True,
        metadata={"description": "null: not asked; false: no prediction is made"},
    )
    consent_to_research = fields.Boolean(load_default=None, allow_none=True)


class PatientSchema(NewPatientSchema):
    """A patient on record."""

    id = fields.UUID(attribute="public_id", required=True, dump_only=True)
    created_at = fields.AwareDateTime(required=True, dump_only=True)
    updated_at = fields.AwareDateTime(required=True, dump_only=True)


class NewLesionSchema(StrictSchema):
    """A lesion to be added."""

    anatom_site_general = fields.Enum(AnatomSiteGeneral, by_value=True, required=True)
    description = fields.String(load_default="", validate=validate.Length(max=MAXIMUM_DESCRIPTION_LENGTH))


class LesionSchema(Schema):
    """A lesion on record."""

    id = fields.UUID(attribute="public_id", required=True)
    number = fields.Integer(required=True, metadata={"description": "Counts within the patient, from 1"})
    anatom_site_general = fields.Enum(AnatomSiteGeneral, by_value=True, required=True)
    description = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)


class LesionRecordSchema(LesionSchema):
    """A lesion with the latest prediction of each of its images, newest image first."""

    predictions = fields.List(fields.Nested(PredictionSummarySchema), required=True)

    def get_attribute(self, obj: LesionRecord, attr: str, default: Any) -> Any:
        """Look at the record's lesion for everything but the predictions."""
        return super().get_attribute(obj if attr == "predictions" else obj.lesion, attr, default)


class PatientRecordSchema(PatientSchema):
    """A patient with every lesion."""

    lesions = fields.List(fields.Nested(LesionRecordSchema), required=True)

    def get_attribute(self, obj: PatientRecord, attr: str, default: Any) -> Any:
        """Look at the record's patient for everything but the lesions."""
        return super().get_attribute(obj if attr == "lesions" else obj.patient, attr, default)


class SearchSchema(PageArgumentsSchema):
    """Which patients."""

    search = fields.String(
        load_default="",
        validate=validate.Length(max=200),
        metadata={"description": "Beginnings of name or MRN, or a birth date; empty gives all, newest first"},
    )


class PatientPageSchema(Schema):
    """A page of patients."""

    items = fields.List(fields.Nested(PatientSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
