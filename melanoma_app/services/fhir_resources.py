"""Our records as FHIR R4 resources: one function a resource, each from a loaded row to a plain dictionary.

Whatever could be left out without a loss is: an element that is there is one that we know. What has no code in a
terminology that we may cite (the probability, Breslow thickness) has one in a code system of our own, and a text.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from melanoma_app.models import (
    Addendum,
    Clinic,
    Histopathology,
    Lesion,
    LesionImage,
    Patient,
    Prediction,
    Review,
)
from melanoma_app.models.vocabulary import BirthDatePrecision, OutcomeLabel
from melanoma_app.services.body_map import describe_site
from melanoma_app.services.body_regions import SNOMED_CT_LATERALITY

Resource = dict[str, Any]

OWN_CODES: Final = "urn:uuid:5b1d9a3e-6a0c-4d5b-9f0e-2f3c7c1e8a54"
"""The code system of what no terminology has a code for; a random URN, for we own no domain to name it by."""
UCUM: Final = "http://unitsofmeasure.org"
SNOMED_CT: Final = "http://snomed.info/sct"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
IMAGE_ADDRESS: Final = "/api/v1/images/{}/file"
"""Where this app gives a photograph out; a reader needs a token of the clinic's to follow it."""
_INTERPRETATIONS: Final = {
    OutcomeLabel.MALIGNANT: ("POS", "Positive"),
    OutcomeLabel.BENIGN: ("NEG", "Negative"),
}
SUPPORTS: Final = "A model's answer. It supports a clinician and never replaces one."


def describe_patient(patient: Patient, *, former_mrns: Sequence[str]) -> Resource:
    """A Patient; an estimated birth date is given as its year, the only part of it that says something.

    Args:
        patient: With its clinic loaded.
        former_mrns: Those of the records that were merged into this one.
    """
    is_estimated = patient.birth_date_precision is BirthDatePrecision.ESTIMATED
    return {
        "resourceType": "Patient",
        "id": str(patient.public_id),
        "identifier": [
            _mrn(patient.mrn, clinic=patient.clinic, use="usual"),
            *(_mrn(mrn, clinic=patient.clinic, use="old") for mrn in former_mrns),
        ],
        "active": True,
        "name": [{"use": "official", "family": patient.family_name, "given": [patient.given_name]}],
        "gender": patient.gender.value,
        "birthDate": f"{patient.birth_date.year:04}" if is_estimated else patient.birth_date.isoformat(),
        "managingOrganization": {"display": patient.clinic.name},
    }


def describe_lesion(lesion: Lesion, *, patient: Patient) -> Resource:
    """A BodyStructure: what the observations of one lesion have in common."""
    resource: Resource = {
        "resourceType": "BodyStructure",
        "id": str(lesion.public_id),
        "identifier": [{"system": patient.public_id.urn, "value": str(lesion.number)}],
        "active": True,
        "location": _body_site(lesion),
        "patient": _refer(patient.public_id),
    }
    if lesion.laterality is not None:
        code = SNOMED_CT_LATERALITY[lesion.laterality]
        resource["locationQualifier"] = [_coded(SNOMED_CT, code, lesion.laterality.value.capitalize())]
    if lesion.description:
        resource["description"] = lesion.description
    return resource


def describe_image(image: LesionImage, *, lesion: Lesion, patient: Patient) -> Resource:
    """A Media. It has no `hash`, which FHIR wants as SHA-1 and we keep as SHA-256."""
    return {
        "resourceType": "Media",
        "id": str(image.public_id),
        "status": "completed",
        "type": _coded(f"{_TERMINOLOGY}/media-type", "image", "Image"),
        "modality": {"text": image.image_type.value},
        "subject": _refer(patient.public_id),
        "createdDateTime": image.captured_at.isoformat(),
        "issued": image.created_at.isoformat(),
        "operator": {"display": image.created_by.display_name},
        "bodySite": _body_site(lesion),
        "width": image.width_px,
        "height": image.height_px,
        "content": {
            "contentType": "image/jpeg",
            "url": IMAGE_ADDRESS.format(image.public_id),
            "size": image.size_bytes,
            "creation": image.captured_at.isoformat(),
        },
    }


def describe_prediction(
    prediction: Prediction, *, image: LesionImage, lesion: Lesion, patient: Patient
) -> Resource:
    """An Observation of the malignancy probability, with the threshold that it is read at."""
    model = f"{prediction.model_version.name}-{prediction.model_version.version}"
    return {
        "resourceType": "Observation",
        "id": str(prediction.public_id),
        "status": "final",
        "category": [_coded(f"{_TERMINOLOGY}/observation-category", "imaging", "Imaging")],
        "code": _own_code("malignancy-probability", "Malignancy probability"),
        "subject": _refer(patient.public_id),
        "focus": [_refer(lesion.public_id)],
        "effectiveDateTime": image.captured_at.isoformat(),
        "issued": prediction.created_at.isoformat(),
        "valueQuantity": _quantity(prediction.malignancy_probability, "1"),
        "interpretation": [_interpret(prediction.label)],
        "note": [{"text": SUPPORTS}],
        "bodySite": _body_site(lesion),
        "method": {"text": f"{model}, preprocessing {prediction.preprocessing_version}"},
        "device": {"display": model},
        "referenceRange": [
            {
                "high": _quantity(prediction.threshold, "1"),
                "text": f"Called malignant from this probability on ({prediction.operating_point}).",
            }
        ],
        "derivedFrom": [_refer(image.public_id)],
    }


def describe_report(
    image: LesionImage, *, review: Review | None, result: Prediction | None, patient: Patient
) -> Resource:
    """A DiagnosticReport of one photograph: preliminary until it is signed, appended once something was added.

    Args:
        image: The photograph. The report's id is made from its id, so that the report keeps it when it is signed.
        review: The signed judgement, with who signed it, its addenda and who wrote them; None until there is one.
        result: The answer that was in front of the clinician, or the newest while nobody has signed.
        patient: Whose it is, with the clinic.
    """
    resource: Resource = {
        "resourceType": "DiagnosticReport",
        "id": str(uuid.uuid5(image.public_id, "DiagnosticReport")),
        "status": "preliminary",
        "category": [_coded(f"{_TERMINOLOGY}/v2-0074", "IMG", "Diagnostic Imaging")],
        "code": _own_code("photograph-assessment", "Assessment of a photograph of a skin lesion"),
        "subject": _refer(patient.public_id),
        "effectiveDateTime": image.captured_at.isoformat(),
        "performer": [{"display": patient.clinic.name}],
        "media": [{"link": _refer(image.public_id)}],
    }
    if result is not None:
        resource["result"] = [_refer(result.public_id)]
    if review is not None:
        resource |= {
            "status": "appended" if review.addenda else "final",
            "issued": max([review.signed_at, *(one.written_at for one in review.addenda)]).isoformat(),
            "resultsInterpreter": [{"display": review.signed_by.display_name}],
            "conclusion": _conclude(review),
            "conclusionCode": [{"text": review.conclusion.value.capitalize()}],
        }
    return resource


def describe_histopathology(
    histopathology: Histopathology, *, lesion: Lesion, patient: Patient, is_corrected: bool
) -> Resource:
    """An Observation of the laboratory's diagnosis, with Breslow thickness where it was measured.

    Args:
        histopathology: The laboratory report that counts.
        lesion: What was examined.
        patient: Whose it is.
        is_corrected: Whether it took the place of an earlier report.
    """
    resource: Resource = {
        "resourceType": "Observation",
        "id": str(histopathology.public_id),
        "status": "corrected" if is_corrected else "final",
        "category": [_coded(f"{_TERMINOLOGY}/observation-category", "laboratory", "Laboratory")],
        "code": _own_code("histopathology-diagnosis", "Histopathological diagnosis"),
        "subject": _refer(patient.public_id),
        "focus": [_refer(lesion.public_id)],
        "effectiveDateTime": histopathology.reported_on.isoformat(),
        "issued": histopathology.recorded_at.isoformat(),
        "valueCodeableConcept": {"text": histopathology.diagnosis},
        "interpretation": [_interpret(histopathology.outcome)],
        "bodySite": _body_site(lesion),
    }
    if histopathology.breslow_thickness_mm is not None:
        resource["component"] = [
            {
                "code": _own_code("breslow-thickness", "Breslow thickness"),
                "valueQuantity": _quantity(histopathology.breslow_thickness_mm, "mm"),
            }
        ]
    return resource


def _mrn(value: str, *, clinic: Clinic, use: str) -> Resource:
    return {
        "use": use,
        "type": _coded(f"{_TERMINOLOGY}/v2-0203", "MR", "Medical record number"),
        "system": clinic.public_id.urn,  # an MRN is unique in its clinic
        "value": value,
        "assigner": {"display": clinic.name},
    }


def _body_site(lesion: Lesion) -> Resource:
    site = describe_site(lesion)
    return _coded(SNOMED_CT, site.snomed_ct_code, site.snomed_ct_display) | {"text": site.label}


def _conclude(review: Review) -> str:
    """What the clinician signed, and below it what was added, each with name and time."""
    lines = [f"{review.conclusion.value.capitalize()}."]
    if review.clinical_diagnosis:
        lines.append(f"Clinical diagnosis: {review.clinical_diagnosis}")
    if review.reason:
        lines.append(f"Reason: {review.reason}")
    due = "" if review.due_on is None else f", due on {review.due_on.isoformat()}"
    lines.append(f"Plan: {review.plan.value}{due}.")
    return "\n".join([*lines, *(_quote(one) for one in review.addenda)])


def _quote(addendum: Addendum) -> str:
    written = addendum.written_at.isoformat(timespec="minutes")
    return f"Addendum by {addendum.written_by.display_name}, {written}: {addendum.text}"


def _interpret(label: OutcomeLabel) -> Resource:
    code, display = _INTERPRETATIONS[label]
    coded = _coded(f"{_TERMINOLOGY}/v3-ObservationInterpretation", code, display)
    return coded | {"text": label.value.capitalize()}


def _coded(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _own_code(code: str, display: str) -> Resource:
    return _coded(OWN_CODES, code, display) | {"text": display}


def _quantity(value: float, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _refer(public_id: uuid.UUID) -> Resource:
    return {"reference": public_id.urn}
