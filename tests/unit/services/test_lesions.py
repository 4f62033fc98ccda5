from __future__ import annotations

import pytest

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.models import Clinic, Lesion, User
from melanoma_app.models.vocabulary import AnatomSiteGeneral
from melanoma_app.services.actor import Actor
from melanoma_app.services.lesions import add_lesion, find_lesion, read_patient_record
from tests.factories import LesionFactory, PatientFactory, actor_of
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


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
