"""A patient of whom everything is on record that can be."""

from __future__ import annotations

from datetime import date

from melanoma_app.extensions import db
from melanoma_app.models import Base, MergedLesion, Patient, PatientMerge
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AnatomSiteGeneral, Gender
from melanoma_app.services.actor import Actor
from melanoma_app.services.lesions import add_lesion
from melanoma_app.services.patients import PatientDetails, register_patient
from tests.examining import examine
from tests.factories import (
    AddendumFactory,
    ChecklistFactory,
    FirstReadFactory,
    HistopathologyFactory,
    JobItemFactory,
    PatientMergeFactory,
    ReviewFactory,
    StagedPhotographFactory,
    UploadFactory,
    session,
)
from tests.records import end_app_transaction

FAMILY_NAME = "Zwetschkenbaum"
MRN = "ERASE-7"


def fill_record(actor: Actor) -> Patient:
    """Register a patient and put a row into every table below; a merge with another patient was undone."""
    patient = register_patient(
        details=PatientDetails(
            mrn=MRN,
            family_name=FAMILY_NAME,
            given_name="Ana",
            birth_date=date(1962, 4, 27),
            gender=Gender.FEMALE,
            consent_to_ai_analysis=True,
            consent_to_research=True,
        ),
        actor=actor,
    )
    lesion = add_lesion(
        patient_public_id=patient.public_id,
        anatom_site_general=AnatomSiteGeneral.HEAD_NECK,
        description="Scar from Zwetschkenbaum's garden",
        actor=actor,
    )
    prediction = examine(lesion.public_id, actor)
    end_app_transaction()
    FirstReadFactory(lesion_image=prediction.lesion_image, read_by=actor.user)
    ChecklistFactory(lesion_image=prediction.lesion_image, recorded_by=actor.user)
    AddendumFactory(review=ReviewFactory(prediction=prediction, signed_by=actor.user), written_by=actor.user)
    HistopathologyFactory(lesion=lesion, recorded_by=actor.user, breslow_thickness_mm=None)
    merge: PatientMerge = PatientMergeFactory(
        kept__clinic=actor.user.clinic, merged=patient, merged_by=actor.user, reverted_at=utc_now()
    )
    upload = UploadFactory(clinic_id=actor.clinic_id, made_by_id=actor.user.id)
    item = JobItemFactory(job_id=upload.id)
    StagedPhotographFactory(job_id=upload.id, job_item_id=item.id, patient_id=patient.id)
    session.add(MergedLesion(merge_id=merge.id, lesion_id=lesion.id, former_number=1))
    session.commit()
    return patient


def tables_below_patient() -> set[str]:
    """Every table whose rows belong to a patient, through whatever other table: read from the foreign keys."""
    found = {"patient"}
    while True:
        more = {
            table.name
            for table in Base.metadata.sorted_tables
            for key in table.foreign_keys
            if key.column.table.name in found
        }
        if more <= found:
            return found
        found |= more


def count_rows() -> dict[str, int]:
    """How many rows each of those tables has."""
    end_app_transaction()
    counts = {
        name: len(db.session.execute(Base.metadata.tables[name].select()).all())
        for name in sorted(tables_below_patient())
    }
    end_app_transaction()
    return counts
