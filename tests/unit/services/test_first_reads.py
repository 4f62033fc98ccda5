"""What clinicians took a lesion for, and whether they had seen the model's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, Clinic, FirstRead, Prediction, User
from melanoma_app.models.vocabulary import AuditAction, ClinicalImpression
from melanoma_app.services import first_reads
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.first_reads import find_first_reads, read_for_first_read, record_first_read
from tests.factories import LesionImageFactory, PatientMergeFactory, PredictionFactory, UserFactory, actor_of
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")
See = Callable[[Prediction, Actor], None]


@pytest.fixture
def prediction(clinic: Clinic) -> Prediction:
    """An answer about a photograph of the clinic."""
    return PredictionFactory(lesion_image__lesion__patient__clinic=clinic)


def see(action: AuditAction, actor: Actor, **values: Any) -> None:
    """Leave the trace that looking at something leaves."""
    record_event(action=action, actor=actor, **values)
    db.session.commit()


def read(prediction: Prediction, actor: Actor, **values: Any) -> FirstRead:
    given = {"impression": ClinicalImpression.UNSURE, "note": ""} | values
    return record_first_read(image_public_id=prediction.lesion_image.public_id, actor=actor, **given)


def patient_of(prediction: Prediction) -> Any:
    return prediction.lesion_image.lesion.patient


def open_first_read(prediction: Prediction, actor: Actor) -> None:
    read_for_first_read(image_public_id=prediction.lesion_image.public_id, actor=actor)


def merge_and_see_merged(prediction: Prediction, actor: Actor) -> None:
    merge = PatientMergeFactory(kept=patient_of(prediction))
    see(AuditAction.PATIENT_READ, actor, patient=merge.merged)


SHOWN: dict[str, See] = {
    "its answer": lambda p, a: see(
        AuditAction.PREDICTION_READ, a, subject_public_id=p.public_id, patient=patient_of(p)
    ),
    "the patient": lambda p, a: see(AuditAction.PATIENT_READ, a, patient=patient_of(p)),
    "the report": lambda p, a: see(AuditAction.REPORT_READ, a, patient=patient_of(p)),
    "a list": lambda p, a: see(
        AuditAction.PATIENTS_LISTED, a, details={"patients": [str(patient_of(p).public_id)]}
    ),
    "the merged patient": merge_and_see_merged,
}
NOT_SHOWN: dict[str, See] = {
    "nothing": lambda p, a: None,
    "the first-read page": lambda p, a: open_first_read(p, a),
    "the photograph": lambda p, a: see(
        AuditAction.IMAGE_READ, a, subject_public_id=p.lesion_image.public_id, patient=patient_of(p)
    ),
    "another answer": lambda p, a: see(
        AuditAction.PREDICTION_READ, a, subject_public_id=a.public_id, patient=patient_of(p)
    ),
    "a list without the patient": lambda p, a: see(
        AuditAction.PATIENTS_LISTED, a, details={"patients": [str(a.public_id)]}
    ),
    "the answer, by somebody else": lambda p, a: see(
        AuditAction.PATIENT_READ, actor_of(UserFactory(clinic=a.user.clinic)), patient=patient_of(p)
    ),
}


@pytest.mark.parametrize("seen", SHOWN.values(), ids=list(SHOWN))
def test_read_is_not_blind_when_the_answer_may_have_been_seen(
    prediction: Prediction, actor: Actor, seen: See
) -> None:
    seen(prediction, actor)

    assert read(prediction, actor).answer_was_shown


@pytest.mark.parametrize("seen", NOT_SHOWN.values(), ids=list(NOT_SHOWN))
def test_read_is_blind_when_only_other_things_were_seen(
    prediction: Prediction, actor: Actor, seen: See
) -> None:
    seen(prediction, actor)

    assert not read(prediction, actor).answer_was_shown


def test_read_is_blind_when_the_patient_was_seen_before_the_answer(clinic: Clinic, actor: Actor) -> None:
    image = LesionImageFactory(lesion__patient__clinic=clinic)
    see(AuditAction.PATIENT_READ, actor, patient=image.lesion.patient)
    see(AuditAction.PATIENTS_LISTED, actor, details={"patients": [str(image.lesion.patient.public_id)]})

    assert not read(PredictionFactory(lesion_image=image), actor).answer_was_shown


def test_read_is_blind_when_no_model_has_looked(clinic: Clinic, actor: Actor) -> None:
    image = LesionImageFactory(lesion__patient__clinic=clinic)
    see(AuditAction.PATIENT_READ, actor, patient=image.lesion.patient)

    first_read = record_first_read(
        image_public_id=image.public_id, impression=ClinicalImpression.BENIGN, note="", actor=actor
    )

    assert not first_read.answer_was_shown


def test_each_clinicians_read_is_kept_when_two_look(
    prediction: Prediction, actor: Actor, clinic: Clinic, records: Records
) -> None:
    other = actor_of(UserFactory(clinic=clinic))
    read(prediction, actor, impression=ClinicalImpression.BENIGN)
    read(prediction, other, impression=ClinicalImpression.MALIGNANT)

    found = find_first_reads(image=prediction.lesion_image)

    assert [(one.read_by.display_name, one.impression) for one in found] == [
        (actor.user.display_name, ClinicalImpression.BENIGN),
        (other.user.display_name, ClinicalImpression.MALIGNANT),
    ]
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.FIRST_READ_RECORDED) == 2


def test_second_read_is_refused_when_the_clinician_has_made_one(
    prediction: Prediction, actor: Actor, records: Records
) -> None:
    read(prediction, actor)

    with pytest.raises(ConflictError):
        read(prediction, actor, impression=ClinicalImpression.MALIGNANT)

    assert records.one(FirstRead).impression is ClinicalImpression.UNSURE


def test_second_read_is_refused_when_both_are_sent_at_once(
    prediction: Prediction, actor: Actor, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_reads, "_check_is_first", lambda *values: None)  # both have looked already
    read(prediction, actor)

    with pytest.raises(ConflictError):
        read(prediction, actor)

    assert records.count(FirstRead) == 1
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.FIRST_READ_RECORDED) == 1


def test_note_is_refused_when_it_is_too_long(prediction: Prediction, actor: Actor) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        read(prediction, actor, note="x" * 501)

    assert list(refusal.value.fields) == ["note"]


def test_photograph_is_unknown_when_of_another_clinic(prediction: Prediction, outsider: User) -> None:
    with pytest.raises(NotFoundError):
        read(prediction, actor_of(outsider))
    with pytest.raises(NotFoundError):
        read_for_first_read(image_public_id=prediction.lesion_image.public_id, actor=actor_of(outsider))
