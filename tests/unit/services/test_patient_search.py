from __future__ import annotations

import dataclasses
import unicodedata
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from melanoma_app.models import AuditEvent, Clinic, Patient, User
from melanoma_app.models.vocabulary import AuditAction, Gender
from melanoma_app.services.actor import Actor
from melanoma_app.services.patient_search import find_similar_patients, search_patients
from melanoma_app.services.patients import PatientDetails, edit_patient, register_patient
from tests.factories import PatientFactory, PatientMergeFactory, UserFactory, actor_of
from tests.records import Records

DETAILS = PatientDetails(
    mrn="A-1", family_name="García", given_name="Ana", birth_date=date(1962, 4, 27), gender=Gender.FEMALE
)


def changed(**values: object) -> PatientDetails:
    return dataclasses.replace(DETAILS, **values)  # type: ignore[arg-type]  # any of them


def found(search: str, actor: Actor) -> set[str]:
    """The MRNs of those who fit; who is merely alike does not count."""
    page = search_patients(search=search, actor=actor, size=100)
    return set() if page.are_alike else {patient.mrn for patient in page.items}


def alike(search: str, actor: Actor) -> set[str]:
    page = search_patients(search=search, actor=actor, size=100)
    return {patient.mrn for patient in page.items} if page.are_alike else set()


@pytest.mark.usefixtures("context")
class TestSearch:
    @pytest.mark.parametrize(
        "search",
        [
            "garcia",
            "GARCÍA",
            "gar",
            "ana",
            "ana garcia",
            "García, Ana",
            "a-1",
            "A-",
            "1962-04-27",
            "27.4.1962",
            "04/27/62",
            "19620427",
            "27 April 1962",
            "  ",
        ],
    )
    def test_patient_is_found_when_the_words_begin_name_or_mrn(self, actor: Actor, search: str) -> None:
        register_patient(details=DETAILS, actor=actor)

        assert found(search, actor) == {"A-1"}

    @pytest.mark.parametrize(
        "search", ["arcia", "ana ruiz", "1962-04-28", "x", "%", "_", "a_1", "gar%", "\\"]
    )
    def test_patient_is_not_found_when_a_word_begins_nothing(self, actor: Actor, search: str) -> None:
        register_patient(details=DETAILS, actor=actor)

        assert found(search, actor) == set()

    @pytest.mark.parametrize("search", ["Gracia", "garca", "garciaa", "garcja", "ana gacria", "anna garcia"])
    def test_name_is_offered_as_alike_when_one_letter_is_wrong(self, actor: Actor, search: str) -> None:
        register_patient(details=DETAILS, actor=actor)
        register_patient(details=changed(mrn="A-2", family_name="Ruiz", given_name="Anna"), actor=actor)

        assert alike(search, actor) == (set() if search == "anna garcia" else {"A-1"})

    def test_nobody_is_offered_as_alike_when_somebody_fits(self, actor: Actor) -> None:
        register_patient(details=DETAILS, actor=actor)
        register_patient(details=changed(mrn="A-2", family_name="Gracia"), actor=actor)

        assert found("gracia", actor) == {"A-2"}

    def test_names_alike_stay_hidden_when_they_belong_to_another_clinic(
        self, actor: Actor, outsider: User
    ) -> None:
        register_patient(details=DETAILS, actor=actor_of(outsider))

        assert alike("gracia", actor) == set()

    def test_new_name_is_found_misspelt_when_edited(self, actor: Actor) -> None:
        patient = register_patient(details=DETAILS, actor=actor)
        details = changed(family_name="Lindqvist")
        edit_patient(public_id=patient.public_id, details=details, version=1, actor=actor)

        assert alike("lindkvist", actor) == {"A-1"}
        assert alike("gracia", actor) == set()

    def test_month_is_read_first_when_nobody_was_born_day_first(self, actor: Actor) -> None:
        register_patient(details=changed(birth_date=date(1962, 4, 5)), actor=actor)
        assert found("4/5/1962", actor) == {"A-1"}

        register_patient(details=changed(mrn="A-2", birth_date=date(1962, 5, 4)), actor=actor)
        assert found("4/5/1962", actor) == {"A-2"}

    def test_mrn_is_found_when_it_looks_like_a_date(self, actor: Actor) -> None:
        register_patient(details=changed(mrn="19620427", birth_date=date(1990, 1, 1)), actor=actor)

        assert found("19620427", actor) == {"19620427"}

    def test_kept_record_is_found_when_the_merged_ones_mrn_is_searched(
        self, actor: Actor, clinic: Clinic
    ) -> None:
        merge = PatientMergeFactory(kept__clinic=clinic)

        assert found(merge.merged.mrn, actor) == {merge.kept.mrn}
        assert found("", actor) == {merge.kept.mrn}

    @pytest.mark.parametrize(("mrn", "search"), [("A_1", "a_1"), ("A.1/B", "a.1/"), ("AB1", "ab1")])
    def test_wildcard_stays_text_when_searched_for(self, actor: Actor, mrn: str, search: str) -> None:
        for other in ("A_1", "A.1/B", "AB1", "AX1"):
            register_patient(details=changed(mrn=other), actor=actor)

        assert found(search, actor) == {mrn}

    def test_second_family_name_is_found_when_it_alone_is_searched(self, actor: Actor) -> None:
        register_patient(details=changed(family_name="García Ruiz"), actor=actor)

        assert found("ruiz", actor) == {"A-1"}

    def test_others_stay_hidden_when_they_belong_to_another_clinic(self, actor: Actor) -> None:
        PatientFactory(family_name="García", search_name="garcia ana")

        assert found("", actor) == set()

    def test_search_is_audited_without_the_words_when_made(self, actor: Actor, records: Records) -> None:
        patient = register_patient(details=DETAILS, actor=actor)

        search_patients(search="garcia", actor=actor)

        event = records.one(AuditEvent, AuditEvent.action == AuditAction.PATIENTS_LISTED)
        assert event.details == {"patients": [str(patient.public_id)]}

    @settings(max_examples=40)
    @given(
        names=st.lists(
            st.text(st.sampled_from("aáÁbßİıé%_\\' -’Ǆﬁ李"), min_size=1, max_size=8).filter(str.strip),
            min_size=1,
            max_size=4,
        ),
        search=st.text(st.sampled_from("aáÁbßİıé%_\\'’ﬁ李"), min_size=1, max_size=3),
    )
    @example(names=["a%b"], search="a%")
    @example(names=["ab"], search="a%")
    @example(names=["Straße"], search="strasse")
    def test_search_agrees_with_plain_python_when_texts_are_odd(
        self, records: Records, names: list[str], search: str
    ) -> None:
        actor = actor_of(UserFactory())
        for number, name in enumerate(names):
            register_patient(
                details=changed(mrn=f"999-{number}", family_name=name, given_name="zz"), actor=actor
            )

        def begins(name: str) -> bool:
            wanted = plain(search).split()
            parts = [*plain(name).split(), "zz"]
            return all(any(part.startswith(word) for part in parts) for word in wanted)

        expected = {f"999-{number}" for number, name in enumerate(names) if begins(name)}
        assert found(search, actor) == expected

    @settings(max_examples=30)
    @given(search=st.text(max_size=40))
    def test_search_answers_when_anything_is_typed(self, actor: Actor, search: str) -> None:
        assert found(search, actor) == set()


def plain(text: str) -> str:
    """Fold case and accents, spelt out another way than the app does."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).casefold())
    return "".join(c for c in folded if unicodedata.category(c) not in ("Mn", "Me", "Mc"))


@pytest.mark.usefixtures("context")
class TestSimilar:
    @pytest.mark.parametrize(
        "values",
        [
            {"mrn": "a-1"},
            {"family_name": "garcia", "given_name": "ANA"},
            {"family_name": "Garcia", "birth_date": date(1962, 4, 27)},
            {"given_name": "Ana", "birth_date": date(1962, 4, 27)},
            {"family_name": "Gracia", "given_name": "Ana"},
            {"family_name": "Garca", "birth_date": date(1962, 4, 27)},
        ],
    )
    def test_patient_is_offered_when_alike(self, actor: Actor, values: dict[str, object]) -> None:
        patient = register_patient(details=DETAILS, actor=actor)

        assert [one.id for one in similar(actor, **values)] == [patient.id]

    @pytest.mark.parametrize(
        "values",
        [
            {},
            {"mrn": "a-2"},
            {"family_name": "Garcia"},
            {"birth_date": date(1962, 4, 27)},
            {"family_name": "Garcia", "birth_date": date(1962, 4, 28)},
        ],
    )
    def test_patient_is_not_offered_when_too_little_agrees(
        self, actor: Actor, values: dict[str, object]
    ) -> None:
        register_patient(details=DETAILS, actor=actor)

        assert similar(actor, **values) == []

    def test_patient_is_not_offered_when_of_another_clinic(self, actor: Actor, outsider: User) -> None:
        register_patient(details=DETAILS, actor=actor_of(outsider))

        assert similar(actor, mrn="A-1", family_name="García", given_name="Ana") == []


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("search", ["\x00", ",", "\ud800"])
def test_nobody_is_found_when_the_search_has_nothing_to_look_for(actor: Actor, search: str) -> None:
    register_patient(details=DETAILS, actor=actor)

    assert search_patients(search=search, actor=actor).items == []


def similar(actor: Actor, **values: object) -> list[Patient]:
    given = {"mrn": "", "family_name": "", "given_name": "", "birth_date": None} | values
    return list(find_similar_patients(actor=actor, **given))  # type: ignore[arg-type]  # as the form has them
