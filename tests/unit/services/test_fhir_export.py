"""The FHIR export of a patient, held to a FHIR library's models."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melanoma_app.errors import NotFoundError
from melanoma_app.models import AuditEvent, Clinic, Patient, User
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    AuditAction,
    BirthDatePrecision,
    BodyView,
    Gender,
    Laterality,
    OutcomeLabel,
    ReviewPlan,
)
from melanoma_app.services.actor import Actor
from melanoma_app.services.fhir_export import export_patient
from melanoma_app.services.patients import PatientDetails, register_patient
from melanoma_app.services.reviews import add_addendum
from tests.factories import (
    HistopathologyFactory,
    LesionFactory,
    LesionImageFactory,
    PatientFactory,
    PatientMergeFactory,
    PredictionFactory,
    ReviewFactory,
    actor_of,
)
from tests.fhir import Resource, check_bundle
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100).filter(
    lambda name: any(character.isalpha() for character in name)
)


@pytest.fixture
def patient(clinic: Clinic) -> Patient:
    return PatientFactory(clinic=clinic)


def export(patient: Patient, actor: Actor) -> dict[str, list[Resource]]:
    return check_bundle(export_patient(public_id=patient.public_id, actor=actor))


def test_report_is_preliminary_when_nobody_has_signed(patient: Patient, actor: Actor) -> None:
    prediction = PredictionFactory(lesion_image__lesion__patient=patient)

    (report,) = export(patient, actor)["DiagnosticReport"]

    assert report["status"] == "preliminary"
    assert report["result"] == [{"reference": prediction.public_id.urn}]
    assert "conclusion" not in report
    assert "issued" not in report


def test_report_is_final_when_it_is_signed(patient: Patient, actor: Actor, user: User) -> None:
    prediction = PredictionFactory(lesion_image__lesion__patient=patient)
    before = export(patient, actor)["DiagnosticReport"][0]
    review = ReviewFactory(
        prediction=prediction,
        conclusion=OutcomeLabel.MALIGNANT,
        clinical_diagnosis="Melanoma in situ",
        reason="Grown since spring",
        plan=ReviewPlan.MONITOR,
        due_on=date(2031, 5, 7),
        signed_by=user,
    )

    (report,) = export(patient, actor)["DiagnosticReport"]

    assert report["status"] == "final"
    assert report["id"] == before["id"]
    assert datetime.fromisoformat(report["issued"]) == review.signed_at
    assert report["resultsInterpreter"] == [{"display": user.display_name}]
    assert report["conclusion"].splitlines() == [
        "Malignant.",
        "Clinical diagnosis: Melanoma in situ",
        "Reason: Grown since spring",
        "Plan: monitor, due on 2031-05-07.",
    ]


def test_report_is_appended_when_something_was_added(patient: Patient, actor: Actor) -> None:
    review = ReviewFactory(prediction__lesion_image__lesion__patient=patient)
    addendum = add_addendum(review_public_id=review.public_id, text="It itches.", actor=actor)

    (report,) = export(patient, actor)["DiagnosticReport"]

    assert report["status"] == "appended"
    assert datetime.fromisoformat(report["issued"]) == addendum.written_at
    last_line = report["conclusion"].splitlines()[-1]
    assert actor.user.display_name in last_line
    assert last_line.endswith("It itches.")


def test_report_keeps_the_signed_answer_when_it_is_scored_again(patient: Patient, actor: Actor) -> None:
    review = ReviewFactory(prediction__lesion_image__lesion__patient=patient)
    PredictionFactory(lesion_image=review.lesion_image, label=OutcomeLabel.MALIGNANT)

    resources = export(patient, actor)

    assert resources["DiagnosticReport"][0]["result"] == [{"reference": review.prediction.public_id.urn}]
    assert len(resources["Observation"]) == 2


def test_photograph_is_exported_when_no_model_has_looked_at_it(patient: Patient, actor: Actor) -> None:
    image = LesionImageFactory(lesion__patient=patient)

    resources = export(patient, actor)

    assert "Observation" not in resources
    assert resources["Media"][0]["content"]["url"] == f"/api/v1/images/{image.public_id}/file"
    assert resources["DiagnosticReport"][0]["media"] == [{"link": {"reference": image.public_id.urn}}]
    assert "result" not in resources["DiagnosticReport"][0]


def test_probability_comes_with_its_threshold_when_it_is_exported(patient: Patient, actor: Actor) -> None:
    captured_at = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    prediction = PredictionFactory(
        lesion_image__lesion__patient=patient,
        lesion_image__captured_at=captured_at,
        malignancy_probability=0.0625,
        threshold=0.03,
        label=OutcomeLabel.MALIGNANT,
    )

    (observation,) = export(patient, actor)["Observation"]

    assert observation["valueQuantity"]["value"] == 0.0625
    assert observation["referenceRange"][0]["high"]["value"] == 0.03
    assert observation["interpretation"][0]["coding"][0]["code"] == "POS"
    assert observation["derivedFrom"] == [{"reference": prediction.lesion_image.public_id.urn}]
    assert datetime.fromisoformat(observation["effectiveDateTime"]) == captured_at
    assert observation["device"]["display"].endswith(prediction.model_version.version)


@pytest.mark.parametrize(
    ("precision", "birth_date"),
    [(BirthDatePrecision.EXACT, "1962-04-27"), (BirthDatePrecision.ESTIMATED, "1962")],
)
def test_birth_date_is_as_precise_as_it_is_known_when_exported(
    clinic: Clinic, actor: Actor, precision: BirthDatePrecision, birth_date: str
) -> None:
    patient = PatientFactory(clinic=clinic, birth_date_precision=precision)

    assert export(patient, actor)["Patient"][0]["birthDate"] == birth_date


def test_mrn_names_its_clinic_when_exported(patient: Patient, clinic: Clinic, actor: Actor) -> None:
    (identifier,) = export(patient, actor)["Patient"][0]["identifier"]

    assert identifier["value"] == patient.mrn
    assert identifier["type"]["coding"][0]["code"] == "MR"
    assert identifier["system"] == clinic.public_id.urn
    assert identifier["assigner"] == {"display": clinic.name}


def test_newest_laboratory_report_is_exported_when_it_was_corrected(patient: Patient, actor: Actor) -> None:
    lesion = LesionFactory(patient=patient)
    HistopathologyFactory(lesion=lesion)
    HistopathologyFactory(
        lesion=lesion,
        diagnosis="Superficial spreading melanoma",
        outcome=OutcomeLabel.MALIGNANT,
        breslow_thickness_mm=0.8,
        reported_on=date(2026, 3, 2),
    )

    (observation,) = export(patient, actor)["Observation"]

    assert observation["status"] == "corrected"
    assert observation["category"][0]["coding"][0]["code"] == "laboratory"
    assert observation["valueCodeableConcept"]["text"] == "Superficial spreading melanoma"
    assert observation["effectiveDateTime"] == "2026-03-02"
    assert observation["focus"] == [{"reference": lesion.public_id.urn}]
    thickness = observation["component"][0]["valueQuantity"]
    assert (thickness["value"], thickness["code"]) == (0.8, "mm")


def test_site_is_coded_when_the_lesion_stands_on_the_body_map(patient: Patient, actor: Actor) -> None:
    LesionFactory(
        patient=patient,
        anatom_site_general=AnatomSiteGeneral.HEAD_NECK,
        laterality=Laterality.LEFT,
        body_view=BodyView.FRONT,
        body_x=0.55,
        body_y=0.05,
    )

    (lesion,) = export(patient, actor)["BodyStructure"]

    assert lesion["location"]["coding"][0]["system"] == "http://snomed.info/sct"
    assert lesion["location"]["coding"][0]["code"] == "73897004"  # skin of face
    assert lesion["locationQualifier"][0]["coding"][0]["code"] == "7771000"  # left


def test_former_mrn_is_marked_as_old_when_a_record_was_merged_into_it(patient: Patient, actor: Actor) -> None:
    merge = PatientMergeFactory(kept=patient)

    identifiers = export(patient, actor)["Patient"][0]["identifier"]

    assert [(one["use"], one["value"]) for one in identifiers] == [
        ("usual", patient.mrn),
        ("old", merge.merged.mrn),
    ]


def test_export_is_audited_when_made(patient: Patient, actor: Actor, records: Records) -> None:
    PredictionFactory(lesion_image__lesion__patient=patient)

    export(patient, actor)

    event = records.one(AuditEvent, AuditEvent.action == AuditAction.RECORDS_EXPORTED)
    assert event.patient_public_id == patient.public_id
    assert event.details == {"format": "fhir", "lesions": 1, "images": 1, "predictions": 1}


def test_patient_is_not_found_when_asked_for_from_another_clinic(patient: Patient, outsider: User) -> None:
    with pytest.raises(NotFoundError):
        export_patient(public_id=patient.public_id, actor=actor_of(outsider))


@given(family_name=NAMES, given_name=NAMES, gender=st.sampled_from(Gender))
def test_any_name_we_register_is_valid_when_exported(
    records: Records, actor: Actor, family_name: str, given_name: str, gender: Gender
) -> None:
    patient = register_patient(
        details=PatientDetails(
            mrn=uuid.uuid4().hex[:20],
            family_name=family_name,
            given_name=given_name,
            birth_date=date(1962, 4, 27),
            gender=gender,
        ),
        actor=actor,
    )

    name = export(patient, actor)["Patient"][0]["name"][0]

    assert (name["family"], name["given"]) == (patient.family_name, [patient.given_name])
