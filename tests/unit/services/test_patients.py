from __future__ import annotations

import dataclasses
import unicodedata
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.models import AuditEvent, Clinic, Patient, User
from melanoma_app.models.vocabulary import AuditAction, Gender
from melanoma_app.services.actor import Actor
from melanoma_app.services.birth_dates import age_in_years
from melanoma_app.services.patients import (
    PatientDetails,
    check_birth_date,
    edit_patient,
    find_patient,
    register_patient,
)
from tests.factories import ClinicFactory, PatientFactory, UserFactory, actor_of
from tests.records import Records

TODAY = date(2026, 3, 12)
DETAILS = PatientDetails(
    mrn="A-1", family_name="García", given_name="Ana", birth_date=date(1962, 4, 27), gender=Gender.FEMALE
)


def changed(**values: object) -> PatientDetails:
    return dataclasses.replace(DETAILS, **values)  # type: ignore[arg-type]  # any of them


@pytest.mark.parametrize(
    ("birth_date", "word"),
    [
        (TODAY, None),
        (TODAY + timedelta(days=1), "future"),
        (date(1886, 3, 12), "older than 130"),
        (date(1895, 3, 13), None),
        (date(1895, 3, 12), "older than 130"),
        (date(1896, 3, 12), None),
        (date(1, 1, 1), "older than 130"),
        (date(9999, 12, 31), "future"),
    ],
)
def test_birth_date_is_judged_in_words_when_checked(birth_date: date, word: str | None) -> None:
    refusal = check_birth_date(birth_date, today=TODAY)

    assert (word is None) == (refusal is None)
    assert word is None or word in (refusal or "")


@pytest.mark.parametrize(
    ("born", "on", "years"),
    [
        (date(2000, 2, 29), date(2001, 2, 28), 0),
        (date(2000, 2, 29), date(2001, 3, 1), 1),
        (date(2000, 2, 29), date(2004, 2, 28), 3),
        (date(2000, 2, 29), date(2004, 2, 29), 4),
        (date(1990, 12, 31), date(2000, 12, 30), 9),
        (date(1990, 12, 31), date(2000, 12, 31), 10),
        (date(2026, 3, 12), date(2026, 3, 12), 0),
    ],
)
def test_age_counts_completed_years_when_the_birthday_is_near(born: date, on: date, years: int) -> None:
    assert age_in_years(born, on=on) == years


@given(born=st.dates(date(1900, 1, 1), date(2026, 1, 1)), days=st.integers(0, 40_000))
def test_age_equals_the_birthdays_had_when_counted_one_by_one(born: date, days: int) -> None:
    on = min(born + timedelta(days=days), date(2100, 1, 1))
    had = 0
    for year in range(born.year + 1, on.year + 1):
        try:
            birthday = born.replace(year=year)
        except ValueError:
            birthday = date(year, 3, 1)
        had += birthday <= on

    assert age_in_years(born, on=on) == had


@pytest.mark.usefixtures("context")
class TestRegister:
    def test_patient_is_kept_when_details_are_right(self, actor: Actor, records: Records) -> None:
        patient = register_patient(details=DETAILS, actor=actor)

        stored = records.one(Patient)
        assert stored.public_id == patient.public_id
        assert {name: getattr(stored, name) for name in vars(DETAILS)} == vars(DETAILS)
        assert stored.clinic_id == actor.clinic_id

    def test_mrn_is_kept_in_capitals_without_spaces_when_typed_carelessly(self, actor: Actor) -> None:
        assert register_patient(details=changed(mrn=" ab 12-x "), actor=actor).mrn == "AB12-X"

    def test_names_are_tidied_when_they_hold_what_cannot_be_seen(self, actor: Actor) -> None:
        patient = register_patient(details=changed(family_name=" Gar\u200bcía \t\n Ruiz "), actor=actor)

        assert patient.family_name == "Gar cía Ruiz"

    def test_every_wrong_field_is_named_when_several_are(self, actor: Actor, records: Records) -> None:
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        wrong = changed(mrn="?", family_name="  ", given_name="x" * 101, birth_date=tomorrow)

        with pytest.raises(InvalidInputError) as refusal:
            register_patient(details=wrong, actor=actor)

        assert set(refusal.value.fields) == {"mrn", "family_name", "given_name", "birth_date"}
        assert records.count(Patient) == 0

    def test_patient_is_refused_when_born_140_years_ago(self, actor: Actor) -> None:
        with pytest.raises(InvalidInputError) as refusal:
            register_patient(
                details=changed(birth_date=date(datetime.now(UTC).year - 140, 1, 1)), actor=actor
            )

        (sentence,) = refusal.value.fields["birth_date"]
        assert "older than 130 years" in sentence

    def test_newborn_is_taken_when_it_is_already_tomorrow_in_the_clinic(self, records: Records) -> None:
        # 14 hours ahead of UTC: for more than half of each day it is a later date there.
        ahead = actor_of(UserFactory(clinic=ClinicFactory(time_zone="Pacific/Kiritimati")))
        today_there = (datetime.now(UTC) + timedelta(hours=14)).date()

        assert register_patient(details=changed(birth_date=today_there), actor=ahead)

    def test_birth_date_is_refused_when_it_is_still_yesterday_in_the_clinic(self, records: Records) -> None:
        behind = actor_of(UserFactory(clinic=ClinicFactory(time_zone="Etc/GMT+12")))
        today_there = (datetime.now(UTC) - timedelta(hours=12)).date()

        with pytest.raises(InvalidInputError):
            register_patient(details=changed(birth_date=today_there + timedelta(days=1)), actor=behind)

    def test_second_patient_is_refused_when_the_mrn_is_taken(self, actor: Actor, records: Records) -> None:
        register_patient(details=DETAILS, actor=actor)

        with pytest.raises(ConflictError) as refusal:
            register_patient(details=changed(family_name="Other", mrn="a-1"), actor=actor)

        assert "mrn" in refusal.value.fields
        assert records.count(Patient) == 1

    def test_mrn_is_free_when_only_another_clinic_has_it(
        self, actor: Actor, outsider: User, records: Records
    ) -> None:
        register_patient(details=DETAILS, actor=actor)
        register_patient(details=DETAILS, actor=actor_of(outsider))

        assert records.count(Patient, Patient.mrn == "A-1") == 2

    def test_act_is_audited_without_a_name_when_registered(self, actor: Actor, records: Records) -> None:
        patient = register_patient(details=DETAILS, actor=actor)

        event = records.one(AuditEvent, AuditEvent.action == AuditAction.PATIENT_REGISTERED)
        assert (event.actor_public_id, event.patient_public_id) == (actor.public_id, patient.public_id)
        assert (event.origin, event.request_id) == ("192.0.2.7", "r1")
        assert "Garc" not in repr(vars(event))

    @pytest.mark.parametrize("name", ["Ångström", "李", "Ștefan", "O’Neil", "𝒜lex", "ß" * 100, "﷽" * 60])
    def test_name_is_kept_when_it_is_not_english(self, actor: Actor, records: Records, name: str) -> None:
        register_patient(details=changed(family_name=name), actor=actor)

        assert records.one(Patient).family_name == unicodedata.normalize("NFC", name)


@pytest.mark.usefixtures("context")
class TestEdit:
    def test_change_is_kept_when_nobody_else_has_edited(self, actor: Actor, records: Records) -> None:
        patient = register_patient(details=DETAILS, actor=actor)

        edit_patient(
            public_id=patient.public_id,
            details=changed(family_name="Ruiz"),
            version=patient.version,
            actor=actor,
        )

        stored = records.one(Patient)
        assert (stored.family_name, stored.search_name) == ("Ruiz", "ruiz ana")
        assert stored.version == 2

    def test_audit_names_the_fields_and_not_their_values_when_edited(
        self, actor: Actor, records: Records
    ) -> None:
        patient = register_patient(details=DETAILS, actor=actor)
        details = changed(family_name="Ruiz", consent_to_research=True)

        edit_patient(public_id=patient.public_id, details=details, version=1, actor=actor)

        event = records.one(AuditEvent, AuditEvent.action == AuditAction.PATIENT_EDITED)
        assert event.details == {"changed": ["consent_to_research", "family_name"]}

    def test_second_edit_is_refused_when_both_read_the_same_version(
        self, actor: Actor, records: Records
    ) -> None:
        patient = register_patient(details=DETAILS, actor=actor)
        edit_patient(
            public_id=patient.public_id, details=changed(family_name="First"), version=1, actor=actor
        )

        with pytest.raises(ConflictError):
            edit_patient(
                public_id=patient.public_id, details=changed(family_name="Second"), version=1, actor=actor
            )

        assert records.one(Patient).family_name == "First"

    def test_edit_is_refused_when_the_mrn_is_anothers(self, actor: Actor, records: Records) -> None:
        register_patient(details=changed(mrn="B-2"), actor=actor)
        patient = register_patient(details=DETAILS, actor=actor)

        with pytest.raises(ConflictError):
            edit_patient(public_id=patient.public_id, details=changed(mrn="b-2"), version=1, actor=actor)

        assert records.count(Patient, Patient.mrn == "A-1") == 1

    def test_patient_is_unknown_when_of_another_clinic(self, actor: Actor, outsider: User) -> None:
        patient = register_patient(details=DETAILS, actor=actor)

        with pytest.raises(NotFoundError):
            edit_patient(public_id=patient.public_id, details=DETAILS, version=1, actor=actor_of(outsider))


@pytest.mark.usefixtures("context")
class TestFind:
    def test_patient_is_found_when_of_the_own_clinic(self, actor: Actor, clinic: Clinic) -> None:
        patient = PatientFactory(clinic=clinic)

        assert find_patient(public_id=patient.public_id, actor=actor).id == patient.id

    def test_patient_is_unknown_when_of_another_clinic(self, actor: Actor) -> None:
        with pytest.raises(NotFoundError):
            find_patient(public_id=PatientFactory().public_id, actor=actor)

    def test_patient_is_unknown_when_there_is_none(self, actor: Actor) -> None:
        with pytest.raises(NotFoundError):
            find_patient(public_id=uuid.uuid4(), actor=actor)
