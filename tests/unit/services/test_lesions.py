from __future__ import annotations

import pytest

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.models import AuditEvent, Clinic, Lesion, User
from melanoma_app.models.vocabulary import AnatomSiteGeneral, AuditAction, BodyView, Laterality
from melanoma_app.services.actor import Actor
from melanoma_app.services.body_map import BodyPlace
from melanoma_app.services.lesions import add_lesion, edit_lesion, find_lesion, read_patient_record
from tests.factories import LesionFactory, LesionImageFactory, PatientFactory, PredictionFactory, actor_of
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")

LEFT_FOREARM = BodyPlace(view=BodyView.FRONT, x=0.83, y=0.44)
OFF_THE_BODY = BodyPlace(view=BodyView.FRONT, x=0.02, y=0.3)


def add(patient: object, actor: Actor, description: str = "") -> Lesion:
    return add_lesion(
        patient_public_id=patient.public_id,  # type: ignore[attr-defined]  # a factory's patient
        anatom_site_general=AnatomSiteGeneral.PALMS_SOLES,
        description=description,
        actor=actor,
    )


def test_lesions_count_within_the_patient_when_added(clinic: Clinic, actor: Actor) -> None:
    first, second = PatientFactory(clinic=clinic), PatientFactory(clinic=clinic)

    assert [add(patient, actor).number for patient in (first, first, second, first)] == [1, 2, 1, 3]


@pytest.mark.parametrize(("length", "is_taken"), [(500, True), (501, False)])
def test_description_is_held_to_its_length_when_near_it(
    clinic: Clinic, actor: Actor, records: Records, length: int, is_taken: bool
) -> None:
    patient = PatientFactory(clinic=clinic)

    if is_taken:
        assert add(patient, actor, "é" * length)
    else:
        with pytest.raises(InvalidInputError) as refusal:
            add(patient, actor, "é" * length)
        assert list(refusal.value.fields) == ["description"]
        assert records.count(Lesion) == 0


def test_patient_is_unknown_when_of_another_clinic(clinic: Clinic, outsider: User) -> None:
    with pytest.raises(NotFoundError):
        add(PatientFactory(clinic=clinic), actor_of(outsider))


def test_lesion_is_unknown_when_of_another_clinic(clinic: Clinic, outsider: User) -> None:
    with pytest.raises(NotFoundError):
        find_lesion(public_id=LesionFactory(patient__clinic=clinic).public_id, actor=actor_of(outsider))


def test_record_lists_lesions_by_number_when_several(clinic: Clinic, actor: Actor) -> None:
    patient = PatientFactory(clinic=clinic)
    for number in (2, 1, 3):
        LesionFactory(patient=patient, number=number)

    record = read_patient_record(public_id=patient.public_id, actor=actor)

    assert [one.lesion.number for one in record.lesions] == [1, 2, 3]


def test_site_and_side_come_from_the_place_when_given(clinic: Clinic, actor: Actor, records: Records) -> None:
    patient = PatientFactory(clinic=clinic)

    add_lesion(patient_public_id=patient.public_id, description="", place=LEFT_FOREARM, actor=actor)

    lesion = records.one(Lesion)
    assert (lesion.anatom_site_general, lesion.laterality) == (
        AnatomSiteGeneral.UPPER_EXTREMITY,
        Laterality.LEFT,
    )
    assert (lesion.body_view, lesion.body_x, lesion.body_y) == (BodyView.FRONT, 0.83, 0.44)


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"place": OFF_THE_BODY}, "place", "not on the body"),
        ({"place": LEFT_FOREARM, "laterality": Laterality.RIGHT}, "laterality", "“Left forearm, front”"),
        (
            {"place": LEFT_FOREARM, "anatom_site_general": AnatomSiteGeneral.HEAD_NECK},
            "anatom_site_general",
            "which is upper extremity, not head/neck",
        ),
        ({"laterality": Laterality.LEFT}, "anatom_site_general", "choose its site"),
    ],
    ids=["off the body", "other side", "other site", "no site"],
)
def test_nothing_is_added_when_the_place_cannot_be(
    clinic: Clinic, actor: Actor, records: Records, given: dict[str, object], field: str, words: str
) -> None:
    patient = PatientFactory(clinic=clinic)

    with pytest.raises(InvalidInputError) as refusal:
        add_lesion(patient_public_id=patient.public_id, description="", actor=actor, **given)

    assert list(refusal.value.fields) == [field]
    assert words in refusal.value.message
    assert records.count(Lesion) == 0


def test_lesion_gets_its_place_when_edited(clinic: Clinic, actor: Actor, records: Records) -> None:
    lesion = LesionFactory(patient__clinic=clinic, number=3, anatom_site_general=AnatomSiteGeneral.HEAD_NECK)

    edit_lesion(public_id=lesion.public_id, description=lesion.description, place=LEFT_FOREARM, actor=actor)

    edited = records.one(Lesion)
    assert (edited.number, edited.anatom_site_general, edited.body_x) == (
        3,
        AnatomSiteGeneral.UPPER_EXTREMITY,
        0.83,
    )


def test_audit_names_the_changed_fields_alone_when_edited(
    clinic: Clinic, actor: Actor, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic, description="Left forearm")

    edit_lesion(public_id=lesion.public_id, description="Secret words", place=LEFT_FOREARM, actor=actor)

    entry = records.one(AuditEvent, AuditEvent.action == AuditAction.LESION_EDITED)
    assert entry.details == {"changed": ["description", "laterality", "place"]}
    assert entry.subject_public_id == lesion.public_id


def test_record_is_unchanged_when_an_edit_is_off_the_body(
    clinic: Clinic, actor: Actor, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic, description="As it was")

    with pytest.raises(InvalidInputError):
        edit_lesion(public_id=lesion.public_id, description="Changed", place=OFF_THE_BODY, actor=actor)

    assert records.one(Lesion).description == "As it was"


def test_edit_is_refused_when_of_another_clinic(clinic: Clinic, outsider: User, records: Records) -> None:
    lesion = LesionFactory(patient__clinic=clinic, description="As it was")

    with pytest.raises(NotFoundError):
        edit_lesion(
            public_id=lesion.public_id,
            description="Changed",
            place=LEFT_FOREARM,
            actor=actor_of(outsider),
        )

    assert records.one(Lesion).description == "As it was"


def test_record_has_a_photograph_without_answer_when_no_model_looked(clinic: Clinic, actor: Actor) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    seen, unseen = LesionImageFactory(lesion=lesion), LesionImageFactory(lesion=lesion)
    answer = PredictionFactory(lesion_image=seen)

    (entry,) = read_patient_record(public_id=lesion.patient.public_id, actor=actor).lesions

    assert [one.image.id for one in entry.images] == [unseen.id, seen.id]
    assert [one.prediction and one.prediction.id for one in entry.images] == [None, answer.id]
    assert [one.id for one in entry.predictions] == [answer.id]
