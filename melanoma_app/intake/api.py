"""The intake part of the REST API."""

from __future__ import annotations

import uuid
from typing import Any

from melanoma_app.intake.schemas import (
    LesionSchema,
    NewLesionSchema,
    NewPatientSchema,
    PatientPageSchema,
    PatientRecordSchema,
    PatientSchema,
    SearchSchema,
)
from melanoma_app.models import Lesion, Patient
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.lesions import PatientRecord, add_lesion, read_patient_record
from melanoma_app.services.paging import Page
from melanoma_app.services.patient_search import search_patients
from melanoma_app.services.patients import PatientDetails, register_patient

blueprint = ApiBlueprint(
    "patients",
    __name__,
    url_prefix="/api/v1",
    description="Patients and their lesions",
)


@blueprint.route("/patients", methods=["POST"])
@requires_token(Permission.WRITE_PATIENTS)
@blueprint.arguments(NewPatientSchema)
@blueprint.response(201, PatientSchema)
def create_patient(details: dict[str, Any]) -> Patient:
    """Register a patient.

    409 when the clinic already has a patient with that MRN.
    """
    return register_patient(details=PatientDetails(**details), actor=current_actor())


@blueprint.route("/patients")
@requires_token(Permission.READ_PATIENTS)
@blueprint.arguments(SearchSchema, location="query")
@blueprint.response(200, PatientPageSchema)
def list_patients(arguments: dict[str, Any]) -> Page[Patient]:
    """Search the clinic's patients, newest first."""
    return search_patients(
        search=arguments["search"],
        cursor=arguments.get("cursor"),
        size=arguments["size"],
        actor=current_actor(),
    )


@blueprint.route("/patients/<uuid:patient_id>")
@requires_token(Permission.READ_PATIENTS)
@blueprint.response(200, PatientRecordSchema)
def read_patient(patient_id: uuid.UUID) -> PatientRecord:
    """A patient with every lesion and the latest prediction of each image."""
    return read_patient_record(public_id=patient_id, actor=current_actor())


@blueprint.route("/patients/<uuid:patient_id>/lesions", methods=["POST"])
@requires_token(Permission.WRITE_PATIENTS)
@blueprint.arguments(NewLesionSchema)
@blueprint.response(201, LesionSchema)
def create_lesion(details: dict[str, Any], patient_id: uuid.UUID) -> Lesion:
    """Add a lesion to a patient."""
    return add_lesion(patient_public_id=patient_id, actor=current_actor(), **details)
