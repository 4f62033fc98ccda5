"""The patients part of the REST API."""

from __future__ import annotations

import uuid
from typing import Any

from melanoma_app.intake.schemas import (
    ConsentDecisionSchema,
    ConsentListSchema,
    EditedPatientSchema,
    NewConsentSchema,
    NewPatientSchema,
    PatientPageSchema,
    PatientRecordSchema,
    PatientSchema,
    SearchSchema,
    TimelineSchema,
)
from melanoma_app.models import ConsentDecision, Patient
from melanoma_app.rest import ApiBlueprint, PageArgumentsSchema
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.consents import describe_consents, list_consent_decisions, record_consent
from melanoma_app.services.lesions import PatientRecord, read_patient_record
from melanoma_app.services.patient_search import SearchPage, search_patients
from melanoma_app.services.patients import PatientDetails, edit_patient, read_patient, register_patient
from melanoma_app.services.timeline import list_timeline

blueprint = ApiBlueprint(
    "patients",
    __name__,
    url_prefix="/api/v1/patients",
    description="Patients, what they have agreed to, and what happened to them",
)


@blueprint.route("", methods=["POST"])
@requires_token(Permission.WRITE_PATIENTS)
@blueprint.arguments(NewPatientSchema)
@blueprint.response(201, PatientSchema)
def create_patient(details: dict[str, Any]) -> Patient:
    """Register a patient.

    409 when the clinic already has a patient with that MRN.
    """
    return register_patient(details=PatientDetails(**details), actor=current_actor())


@blueprint.route("")
@requires_token(Permission.READ_PATIENTS)
@blueprint.arguments(PageArgumentsSchema, location="query")
@blueprint.response(200, PatientPageSchema)
def list_patients(arguments: dict[str, Any]) -> SearchPage[Patient]:
    """The clinic's patients, newest first."""
    return search_patients(search="", actor=current_actor(), **arguments)


@blueprint.route("/search", methods=["POST"])
@requires_token(Permission.READ_PATIENTS)
@blueprint.arguments(SearchSchema)
@blueprint.response(200, PatientPageSchema)
def find_patients(arguments: dict[str, Any]) -> SearchPage[Patient]:
    """Search the clinic's patients, newest first.

    What is searched for is sent in the body: addresses are logged, and it is a name, an MRN or a birth date.
    """
    return search_patients(
        search=arguments["search"],
        cursor=arguments.get("cursor"),
        size=arguments["size"],
        actor=current_actor(),
    )


@blueprint.route("/<uuid:patient_id>")
@requires_token(Permission.READ_PATIENTS)
@blueprint.response(200, PatientRecordSchema)
def show_patient(patient_id: uuid.UUID) -> PatientRecord:
    """A patient with every lesion, its photographs, their newest predictions and reviews.

    409 when the record was merged into another one, which the message names.
    """
    return read_patient_record(public_id=patient_id, actor=current_actor())


@blueprint.route("/<uuid:patient_id>", methods=["PUT"])
@requires_token(Permission.WRITE_PATIENTS)
@blueprint.arguments(EditedPatientSchema)
@blueprint.response(200, PatientSchema)
def replace_patient(details: dict[str, Any], patient_id: uuid.UUID) -> Patient:
    """Replace what is said of a patient: send all of it, changed or not, and the `version` you have read.

    409 when somebody else has edited the patient meanwhile, or another patient has that MRN.
    """
    version = details.pop("version")
    return edit_patient(
        public_id=patient_id, details=PatientDetails(**details), version=version, actor=current_actor()
    )


@blueprint.route("/<uuid:patient_id>/timeline")
@requires_token(Permission.READ_PATIENTS)
@blueprint.response(200, TimelineSchema)
def show_timeline(patient_id: uuid.UUID) -> dict[str, Any]:
    """Everything that happened to a patient, newest first."""
    return {"items": list_timeline(patient_public_id=patient_id, actor=current_actor())}


@blueprint.route("/<uuid:patient_id>/consents")
@requires_token(Permission.READ_PATIENTS)
@blueprint.response(200, ConsentListSchema)
def list_consents(patient_id: uuid.UUID) -> dict[str, Any]:
    """What a patient has agreed to, purpose by purpose, and every change of mind, newest first."""
    patient = read_patient(public_id=patient_id, actor=current_actor())
    decisions = list_consent_decisions(patient=patient)
    return {"in_force": describe_consents(patient=patient, decisions=decisions), "items": decisions}


@blueprint.route("/<uuid:patient_id>/consents", methods=["POST"])
@requires_token(Permission.WRITE_PATIENTS)
@blueprint.arguments(NewConsentSchema)
@blueprint.response(201, ConsentDecisionSchema)
def create_consent(details: dict[str, Any], patient_id: uuid.UUID) -> ConsentDecision:
    """Record that a patient gives a consent, refuses it or withdraws it; the same answer again changes nothing."""
    return record_consent(patient_public_id=patient_id, actor=current_actor(), **details)
