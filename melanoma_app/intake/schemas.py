"""What the patients part of the API takes and gives."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from melanoma_app.intake.lesion_schemas import LesionRecordSchema
from melanoma_app.models.patient_merge import MERGE_REASON_LENGTH
from melanoma_app.models.vocabulary import BirthDatePrecision, ConsentPurpose, FitzpatrickSkinType, Gender
from melanoma_app.record_schemas import AnswerSchema, OfRecord
from melanoma_app.rest import PageArgumentsSchema, StrictSchema
from melanoma_app.services.timeline import TimelineKind


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
        metadata={"description": "null: not asked; without true no prediction is made"},
    )
    consent_to_research = fields.Boolean(load_default=None, allow_none=True)


class EditedPatientSchema(NewPatientSchema):
    """A patient as they shall stand on record: all of it, changed or not."""

    version = fields.Integer(
        strict=True,
        required=True,
        validate=validate.Range(min=1),
        metadata={"description": "The one you have read; if it is another by now, nothing changes (409)"},
    )


class PatientSchema(NewPatientSchema):
    """A patient on record."""

    id = fields.UUID(attribute="public_id", required=True, dump_only=True)
    version = fields.Integer(required=True, dump_only=True, metadata={"description": "Counts the edits"})
    created_at = fields.AwareDateTime(required=True, dump_only=True)
    updated_at = fields.AwareDateTime(required=True, dump_only=True)


class PatientRecordSchema(OfRecord, PatientSchema):
    """A patient with every lesion, by number."""

    main = "patient"
    beside = frozenset({"lesions"})

    lesions = fields.List(fields.Nested(LesionRecordSchema), required=True)


class SearchSchema(PageArgumentsSchema):
    """Which patients."""

    search = fields.String(
        load_default="",
        validate=validate.Length(max=200),
        metadata={
            "description": "Beginnings of name or MRN, or a birth date; empty gives all, newest first. "
            "Names that are a slip of the pen away are found when nobody else is"
        },
    )


class PatientPageSchema(Schema):
    """A page of patients."""

    items = fields.List(fields.Nested(PatientSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    are_alike = fields.Boolean(
        required=True, metadata={"description": "Nobody fits the search; these have names that are close"}
    )


class NewConsentSchema(StrictSchema):
    """What a patient has answered."""

    purpose = fields.Enum(ConsentPurpose, by_value=True, required=True)
    is_given = fields.Boolean(required=True, metadata={"description": "false: refused or withdrawn"})


class ConsentDecisionSchema(Schema):
    """An answer of a patient's."""

    purpose = fields.Enum(ConsentPurpose, by_value=True, required=True)
    is_given = fields.Boolean(required=True)
    decided_at = fields.AwareDateTime(required=True)


class RecordedConsentSchema(ConsentDecisionSchema):
    """An answer of a patient's, and who recorded it."""

    recorded_by = fields.String(attribute="recorded_by.display_name", required=True)


class ConsentStateSchema(Schema):
    """The answer in force."""

    purpose = fields.Enum(ConsentPurpose, by_value=True, required=True)
    is_given = fields.Boolean(
        required=True, allow_none=True, metadata={"description": "null: nobody has asked"}
    )


class ConsentListSchema(Schema):
    """The answers in force, and every answer there was, newest first."""

    in_force = fields.List(fields.Nested(ConsentStateSchema), required=True)
    items = fields.List(fields.Nested(RecordedConsentSchema), required=True)


class TimelineEntrySchema(Schema):
    """One thing that happened."""

    kind = fields.Enum(TimelineKind, by_value=True, required=True)
    happened_at = fields.AwareDateTime(required=True)
    title = fields.String(required=True, metadata={"description": "In a few words"})
    text = fields.String(required=True, metadata={"description": "More; empty if there is no more"})
    by = fields.String(required=True, metadata={"description": "Who did it; empty where that is not kept"})
    day = fields.Date(
        required=True,
        allow_none=True,
        metadata={"description": "When monitoring is due, or a report was made"},
    )
    lesion_id = fields.UUID(attribute="lesion.public_id", required=True, allow_none=True, dump_default=None)
    lesion_number = fields.Integer(required=True, allow_none=True)
    image_id = fields.UUID(attribute="image.public_id", required=True, allow_none=True, dump_default=None)
    prediction = fields.Nested(
        AnswerSchema,
        required=True,
        allow_none=True,
        metadata={"description": "What a model said of a photograph"},
    )


class TimelineSchema(Schema):
    """Everything that happened to a patient, newest first."""

    items = fields.List(fields.Nested(TimelineEntrySchema), required=True)


class NewMergeSchema(StrictSchema):
    """Which record is to be merged into this one."""

    merged_patient_id = fields.UUID(required=True, metadata={"description": "The record that is given up"})
    reason = fields.String(
        required=True,
        validate=validate.Length(1, MERGE_REASON_LENGTH),
        metadata={"description": "Why the two are one person"},
    )


class MergeSchema(Schema):
    """Two records made one."""

    id = fields.UUID(attribute="public_id", required=True)
    kept_patient_id = fields.UUID(attribute="kept.public_id", required=True)
    merged_patient_id = fields.UUID(attribute="merged.public_id", required=True)
    reason = fields.String(required=True)
    merged_at = fields.AwareDateTime(required=True)
    reverted_at = fields.AwareDateTime(
        required=True, allow_none=True, metadata={"description": "When it was undone"}
    )
