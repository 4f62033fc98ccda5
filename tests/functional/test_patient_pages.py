"""Registering and editing through the pages: what is wrong stands beside its field, nothing typed is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from melanoma_app.models import Clinic, ConsentDecision, Patient, User
from melanoma_app.models.vocabulary import BirthDatePrecision
from tests.browsing import Browser, Page, form_values, words
from tests.factories import LesionFactory, LesionImageFactory, PatientFactory, UserFactory
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


@pytest.mark.parametrize("written", ["1962-04-27", "27.04.1962", "27/4/1962", "27 April 1962"])
def test_birth_date_is_read_when_written_as_people_do(
    browser: Browser, records: Records, written: str
) -> None:
    browser.fill_in("/patients/new", **TYPED | {"birth_date": written})

    assert str(records.one(Patient).birth_date) == "1962-04-27"


@pytest.mark.parametrize("known", ["1962", f"{TODAY.year - 1962 - (TODAY.replace(month=7, day=1) > TODAY)}"])
def test_birth_is_an_estimate_when_only_year_or_age_are_known(
    browser: Browser, records: Records, known: str
) -> None:
    page = browser.fill_in("/patients/new", **TYPED | {"birth_date": known})

    stored = records.one(Patient)
    assert (str(stored.birth_date), stored.birth_date_precision) == (
        "1962-07-01",
        BirthDatePrecision.ESTIMATED,
    )
    assert "1962 (about" in page.text
    values = form_values(browser.open(f"{page.path}/edit").form())
    assert (values["birth_date"], values["birth_date_precision"]) == ("1962", "estimated")


def test_edit_form_stands_again_when_the_mrn_is_anothers(
    browser: Browser, clinic: Clinic, records: Records
) -> None:
    """The database alone notices; what the page then reads of the session must still be there."""
    PatientFactory(clinic=clinic, mrn="A-1")
    patient = PatientFactory(clinic=clinic, mrn="B-2")

    page = browser.fill_in(f"/patients/{patient.public_id}/edit", mrn="A-1", given_name="Typed")

    assert page.status == 422
    assert "already has the MRN A-1" in page.error_of("mrn")
    assert form_values(page.form())["given_name"] == "Typed"
    assert records.one(Patient, Patient.id == patient.id).mrn == "B-2"


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

        answer = browser.post("/patients/check", **TYPED | {"family_name": "Gracia"}).json

        assert answer["born"].startswith("27 Apr 1962")
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
        assert "Family name: you have “García”, on record is “First”" in page.text
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
        assert "choose its site" in page.error_of("anatom_site_general")


def test_names_that_are_close_are_said_to_be_so_when_nobody_fits(browser: Browser) -> None:
    browser.fill_in("/patients/new", **TYPED)

    page = browser.search("Gracia")

    assert "Nobody fits “Gracia”; these names are close." in page.text
    assert "García, Ana" in page.text
    assert "/patients/new" in page.links()


class TestConsents:
    def test_consent_is_withdrawn_and_given_again_when_the_buttons_are_pressed(
        self, browser: Browser, clinic: Clinic, user: User, records: Records
    ) -> None:
        patient = PatientFactory(clinic=clinic, consent_to_ai_analysis=True)
        address = f"/patients/{patient.public_id}"

        page = press(browser, address, "Withdraw consent to analysis by a model")
        assert "earlier results stay" in page.text
        assert f"recorded by {user.display_name}" in page.text
        assert records.one(Patient).consent_to_ai_analysis is False

        press(browser, address, "Give consent to analysis by a model")
        assert records.one(Patient).consent_to_ai_analysis is True
        assert [one.is_given for one in records.all(ConsentDecision)] == [False, True]

    def test_nothing_is_recorded_when_the_purpose_is_unknown(
        self, browser: Browser, clinic: Clinic, records: Records
    ) -> None:
        patient = PatientFactory(clinic=clinic)

        answer = browser.post(f"/patients/{patient.public_id}/consents", purpose="marketing", is_given="yes")

        assert answer.status_code == 422
        assert records.count(ConsentDecision) == 0


class TestTimeline:
    def test_first_fifty_are_shown_lazily_when_there_are_hundreds(
        self, browser: Browser, clinic: Clinic
    ) -> None:
        lesion = LesionFactory(patient__clinic=clinic)
        for minutes in range(60):
            LesionImageFactory(lesion=lesion, captured_at=datetime.now(UTC) - timedelta(minutes=minutes))
        address = f"/patients/{lesion.patient.public_id}"

        page = browser.open(address)

        images = page.soup.select(".timeline img")
        assert len(page.soup.select(".timeline__entry")) == 50
        assert {(one["loading"], one["width"], one["height"]) for one in images} == {("lazy", "72", "72")}
        assert all(str(one["src"]).endswith("/thumbnail") for one in page.soup.select("main img"))
        assert "Show 12 earlier entries" in page.text
        assert len(browser.open(f"{address}?timeline=all").soup.select(".timeline__entry")) == 62


def press(browser: Browser, address: str, label: str) -> Page:
    """Send the form whose button says so."""
    page = browser.open(address)
    (button,) = [one for one in page.soup.find_all("button") if words(one) == label]
    return browser.send(button.find_parent("form"), page)
