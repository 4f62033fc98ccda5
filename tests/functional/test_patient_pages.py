"""Registering and editing through the pages: what is wrong stands beside its field, nothing typed is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from melanoma_app.models import Clinic, Patient, User
from tests.browsing import Browser, form_values
from tests.factories import PatientFactory, UserFactory
from tests.records import Records

TYPED = {
    "mrn": "A-1",
    "family_name": "García",
    "given_name": "Ana",
    "birth_date": "1962-04-27",
    "gender": "female",
}
TODAY = datetime.now(UTC).date()


def test_patients_page_opens_when_registered(browser: Browser, records: Records) -> None:
    page = browser.fill_in("/patients/new", **TYPED)

    assert page.path == f"/patients/{records.one(Patient).public_id}"
    assert "The patient is registered." in page.text


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"birth_date": str(TODAY + timedelta(days=1))}, "birth_date", "future"),
        ({"birth_date": f"{TODAY.year - 140}-01-01"}, "birth_date", "older than 130 years"),
        ({"birth_date": "31.02.1990"}, "birth_date", "valid"),
        ({"birth_date": ""}, "birth_date", "Enter the date of birth"),
        ({"mrn": ""}, "mrn", "Enter the MRN"),
        ({"mrn": "a b;c"}, "mrn", "letters, digits"),
        ({"mrn": "x" * 33}, "mrn", "32"),
        ({"family_name": " "}, "family_name", "name"),
        ({"given_name": "x" * 101}, "given_name", "100"),
        ({"gender": "f"}, "gender", "choice"),
    ],
    ids=str,
)
def test_sentence_stands_beside_the_field_when_a_value_is_wrong(
    browser: Browser, records: Records, change: dict[str, str], field: str, word: str
) -> None:
    page = browser.fill_in("/patients/new", **TYPED | change)

    assert page.status == 422
    assert word in page.error_of(field)
    assert records.count(Patient) == 0


def test_nothing_typed_is_lost_when_a_value_is_wrong(browser: Browser) -> None:
    typed = TYPED | {"mrn": "?", "consent_to_care": "yes", "fitzpatrick_skin_type": "V"}

    page = browser.fill_in("/patients/new", **typed)

    assert form_values(page.form()).items() >= typed.items()


def test_mrn_is_told_taken_when_it_is(browser: Browser, clinic: Clinic, records: Records) -> None:
    PatientFactory(clinic=clinic, mrn="A-1")

    page = browser.fill_in("/patients/new", **TYPED)

    assert page.status in (409, 422)
    assert "already has the MRN A-1" in page.error_of("mrn")
    assert records.count(Patient) == 1


@pytest.mark.parametrize("written", ["1962-04-27", "27.04.1962", "27/04/1962"])
def test_birth_date_is_read_when_written_as_people_do(
    browser: Browser, records: Records, written: str
) -> None:
    browser.fill_in("/patients/new", **TYPED | {"birth_date": written})

    assert str(records.one(Patient).birth_date) == "1962-04-27"


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x>', "{{ 7 * 7 }}", "O'Neil & Söhne"]
)
def test_name_is_shown_as_text_when_it_looks_like_markup(browser: Browser, name: str) -> None:
    page = browser.fill_in("/patients/new", **TYPED | {"family_name": name})

    assert page.heading == f"{name}, Ana"
    assert not page.soup.find("img", src="x")
    assert f"{name}, Ana" in browser.open("/patients").text


class TestLiveCheck:
    def test_likely_twin_is_offered_when_name_and_birth_date_agree(
        self, browser: Browser, clinic: Clinic
    ) -> None:
        patient = PatientFactory(clinic=clinic, family_name="García", search_name="garcia maria", mrn="B-7")

        answer = browser.post("/patients/check", **TYPED).json

        assert [(one["mrn"], one["address"]) for one in answer["similar"]] == [
            ("B-7", f"/patients/{patient.public_id}")
        ]

    def test_errors_come_by_field_when_values_are_wrong(self, browser: Browser) -> None:
        untouched = form_values(browser.open("/patients/new").form())
        values = untouched | TYPED | {"birth_date": "31.02.1990"}

        answer = browser.client.post("/patients/check", data=values).json

        assert list(answer["errors"]) == ["birth_date"]

    def test_birth_date_is_judged_when_it_cannot_be(self, browser: Browser) -> None:
        tomorrow = str(TODAY + timedelta(days=1))

        answer = browser.post("/patients/check", **TYPED | {"birth_date": tomorrow}).json

        assert "birth_date" in answer["errors"]

    def test_check_answers_when_nothing_is_typed_yet(self, browser: Browser) -> None:
        assert browser.post("/patients/check").json["similar"] == []


class TestEdit:
    @pytest.fixture
    def patient(self, clinic: Clinic) -> Patient:
        return PatientFactory(
            clinic=clinic, family_name="García", given_name="Ana", consent_to_ai_analysis=False
        )

    def test_form_shows_the_record_when_opened(self, browser: Browser, patient: Patient) -> None:
        values = form_values(browser.open(f"/patients/{patient.public_id}/edit").form())

        assert (
            values.items()
            >= {
                "mrn": patient.mrn,
                "family_name": "García",
                "birth_date": "1962-04-27",
                "gender": "female",
                "consent_to_ai_analysis": "no",
                "consent_to_care": "",
                "version": "1",
            }.items()
        )

    def test_record_is_unchanged_when_the_form_is_sent_untouched(
        self, browser: Browser, patient: Patient, records: Records
    ) -> None:
        before = vars(records.one(Patient))

        browser.fill_in(f"/patients/{patient.public_id}/edit")

        after = vars(records.one(Patient))
        ignored = {"_sa_instance_state", "updated_at", "version"}
        assert {k: v for k, v in after.items() if k not in ignored} == {
            k: v for k, v in before.items() if k not in ignored
        }

    def test_change_is_kept_when_saved(self, browser: Browser, patient: Patient, records: Records) -> None:
        page = browser.fill_in(f"/patients/{patient.public_id}/edit", family_name="Ruiz")

        assert page.heading == "Ruiz, Ana"
        assert records.one(Patient).family_name == "Ruiz"

    def test_second_editor_is_told_and_keeps_what_they_typed_when_overtaken(
        self, sign_in: Callable[[User], Browser], clinic: Clinic, patient: Patient, records: Records
    ) -> None:
        address = f"/patients/{patient.public_id}/edit"
        first, second = (sign_in(UserFactory(clinic=clinic)) for _ in range(2))
        first_page, second_page = first.open(address), second.open(address)
        first.send(first_page.form(), first_page, family_name="First")

        page = second.send(second_page.form(), second_page, given_name="Second")

        assert page.status in (409, 422)
        assert "Somebody else has edited this patient meanwhile" in page.text
        assert form_values(page.form())["given_name"] == "Second"
        stored = records.one(Patient)
        assert (stored.family_name, stored.given_name) == ("First", "Ana")

    def test_second_editor_is_refused_again_when_they_send_it_once_more(
        self, sign_in: Callable[[User], Browser], clinic: Clinic, patient: Patient, records: Records
    ) -> None:
        address = f"/patients/{patient.public_id}/edit"
        first, second = (sign_in(UserFactory(clinic=clinic)) for _ in range(2))
        first_page, second_page = first.open(address), second.open(address)
        first.send(first_page.form(), first_page, family_name="First")
        told = second.send(second_page.form(), second_page, given_name="Second")

        second.send(told.form(), told)

        assert records.one(Patient).family_name == "First"

    def test_edit_is_refused_when_the_version_is_left_out(
        self, browser: Browser, patient: Patient, records: Records
    ) -> None:
        browser.fill_in(f"/patients/{patient.public_id}/edit", family_name="Ruiz", version="")

        assert records.one(Patient).family_name == "García"


class TestLesions:
    def test_site_is_asked_for_when_left_out(self, browser: Browser, clinic: Clinic) -> None:
        patient = PatientFactory(clinic=clinic)
        action = f"/patients/{patient.public_id}/lesions"

        page = browser.fill_in(f"/patients/{patient.public_id}", action=action)

        assert page.status == 422
        assert "Choose where on the body" in page.error_of("anatom_site_general")
