"""The pages of a patient's rights, and that no address or title says who a patient is."""

from __future__ import annotations

import io
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit
from zipfile import ZipFile

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, LesionImage, Patient, PatientErasure, User
from melanoma_app.models.vocabulary import Role
from melanoma_app.security import sealed_search
from tests.api import error_of
from tests.browsing import Browser
from tests.factories import LesionFactory, LesionImageFactory, PatientFactory, UserFactory
from tests.functional.test_borders import PAGES
from tests.hostile.doors import address_of
from tests.records import Records

PRIVATE = ("Zwetschke", "zwetschke", "Anabel", "SECRET-7", "1962-04-27")


@pytest.fixture
def admin(clinic: Clinic) -> User:
    return UserFactory(clinic=clinic, role=Role.ADMIN)


@pytest.fixture
def admins_browser(sign_in: Callable[[User], Browser], admin: User) -> Browser:
    return sign_in(admin)


@pytest.fixture
def patient(clinic: Clinic) -> Patient:
    return PatientFactory(clinic=clinic, family_name="Zwetschke", given_name="Anabel", mrn="SECRET-7")


class TestErasure:
    def test_record_is_gone_when_erased_by_hand(
        self, admins_browser: Browser, patient: Patient, records: Records
    ) -> None:
        address = f"/patients/{patient.public_id}"
        assert f"{address}/erase" in admins_browser.open(address).links()

        page = admins_browser.fill_in(
            f"{address}/erase", mrn="secret-7", reason="Registered by mistake, Art. 17(1)(a)"
        )

        assert page.path == "/patients"
        assert "The record is erased." in page.text
        assert admins_browser.open(address).status == 404
        assert records.one(PatientErasure).patient_public_id == patient.public_id

    def test_page_says_until_when_it_has_to_be_kept_when_the_period_runs(
        self, admins_browser: Browser, clinic: Clinic, patient: Patient, records: Records
    ) -> None:
        LesionImageFactory(lesion=LesionFactory(patient=patient))
        address = f"/patients/{patient.public_id}/erase"
        assert "This record has to be kept until" in admins_browser.open(address).text

        refused = admins_browser.fill_in(address, mrn="SECRET-7", reason="Asked for")
        assert refused.status == HTTPStatus.CONFLICT
        assert "Nothing was erased" in refused.text
        assert records.count(LesionImage) == 1

        admins_browser.send(
            refused.form(), refused, mrn="SECRET-7", reason="Art. 17(1)(b)", law_lets_it_go="y"
        )
        assert records.count(LesionImage) == 0

    def test_nothing_is_erased_when_the_mrn_is_another_one(
        self, admins_browser: Browser, patient: Patient, records: Records
    ) -> None:
        page = admins_browser.fill_in(
            f"/patients/{patient.public_id}/erase", mrn="SECRET-8", reason="Asked for"
        )

        assert page.status == HTTPStatus.UNPROCESSABLE_ENTITY
        assert "not the patient's MRN" in page.error_of("mrn")
        assert records.count(Patient) == 1

    def test_record_is_gone_when_erased_over_rest(
        self,
        client: FlaskClient,
        token_headers: Callable[[User], dict[str, str]],
        admin: User,
        patient: Patient,
        records: Records,
    ) -> None:
        headers, address = token_headers(admin), f"/api/v1/patients/{patient.public_id}"

        answer = client.post(
            f"{address}/erasure", json={"mrn": "SECRET-7", "reason": "Asked for"}, headers=headers
        )

        assert answer.status_code == HTTPStatus.CREATED
        assert answer.json["patient_id"] == str(patient.public_id)
        error_of(client.get(address, headers=headers), HTTPStatus.NOT_FOUND)


class TestExports:
    def test_archive_is_a_download_without_a_name_when_exported(
        self, browser: Browser, patient: Patient
    ) -> None:
        address = f"/patients/{patient.public_id}/export.zip"
        assert address in browser.open(f"/patients/{patient.public_id}").links()

        answer = browser.client.get(address)

        assert (
            answer.headers["Content-Disposition"] == f"attachment; filename=patient-{patient.public_id}.zip"
        )
        assert answer.headers["Cache-Control"] == "no-store"
        with ZipFile(io.BytesIO(answer.data)) as archive:
            assert {"record.json", "audit.json", "fhir.json", "README.txt"} <= set(archive.namelist())
            assert b"Zwetschke" in archive.read("record.json")

    def test_research_page_says_what_is_missing_when_too_few_agreed(
        self, admins_browser: Browser, patient: Patient
    ) -> None:
        page = admins_browser.open("/research")

        assert "At least 5 patients have to agree" in page.text
        assert admins_browser.post("/research").status_code == HTTPStatus.CONFLICT


class TestAddresses:
    def test_no_title_and_no_address_names_the_patient_when_any_page_is_opened(
        self,
        admins_browser: Browser,
        sign_in: Callable[[User], Browser],
        user: User,
        clinic: Clinic,
        ids: dict[str, str],
        records: Records,
    ) -> None:
        records.execute("UPDATE patient SET family_name = 'Zwetschke', given_name = 'Anabel'")
        records.execute("UPDATE patient SET mrn = 'SECRET-7' WHERE public_id = :id", id=_hex(ids["patient"]))
        clinicians = sign_in(user)
        for endpoint, group in PAGES.items():
            if not endpoint.startswith("GET ") or ".csv" in endpoint or ".zip" in endpoint:
                continue
            browser = clinicians if group in ("clinicians", "everybody") else admins_browser
            page = browser.open(address_of(endpoint, ids))
            if not page.response.mimetype.startswith("text/html"):
                continue
            assert page.soup.title, endpoint
            told = [str(page.soup.title.string), page.response.request.url]
            told += [
                str(one[name]) for name in ("href", "action", "src") for one in page.soup.select(f"[{name}]")
            ]
            assert [text for text in told for word in PRIVATE if word in text] == [], endpoint

    def test_search_is_sealed_and_can_be_opened_again_when_sent(
        self, browser: Browser, patient: Patient
    ) -> None:
        page = browser.search("Zwetschke")

        address = page.response.request.full_path
        assert urlsplit(address).path == "/patients"
        assert "wetsch" not in address.lower()
        assert f"/patients/{patient.public_id}" in page.links()
        again = browser.open(address)  # reloaded, or come back to
        assert f"/patients/{patient.public_id}" in again.links()
        assert 'value="Zwetschke"' in again.response.text

    def test_length_tells_nothing_when_names_are_short_or_long(
        self, browser: Browser, patient: Patient
    ) -> None:
        lengths = {
            len(browser.search(text).response.request.full_path) for text in ("Li", "1962-04-27", "Zwetschke")
        }

        assert len(lengths) == 1

    @pytest.mark.parametrize("sealed", ["x", "\udcff", "gAAAAABo", "A" * 5000])
    def test_person_is_told_to_search_again_when_it_was_not_sealed_here(
        self, browser: Browser, sealed: str
    ) -> None:
        page = browser.open(
            "/patients", query_string={"q": sealed.encode("utf-8", "surrogateescape").decode("latin-1")}
        )

        assert page.status == HTTPStatus.UNPROCESSABLE_ENTITY
        assert "Type it into the search box again." in page.text

    def test_search_opens_for_nobody_else_and_not_for_ever_when_copied(
        self,
        browser: Browser,
        admins_browser: Browser,
        patient: Patient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        address = browser.search("Zwetschke").response.request.full_path

        assert admins_browser.open(address).status == HTTPStatus.UNPROCESSABLE_ENTITY
        monkeypatch.setattr(sealed_search, "VALID_S", -1)
        assert browser.open(address).status == HTTPStatus.UNPROCESSABLE_ENTITY

    def test_file_holds_what_the_search_found_when_exported(
        self, browser: Browser, clinic: Clinic, patient: Patient
    ) -> None:
        PatientFactory(clinic=clinic, family_name="Birch")
        page = browser.search("Zwetschke")
        (address,) = [link for link in page.links() if "patients.csv" in link]

        lines = browser.client.get(address).get_data(as_text=True).splitlines()

        assert len(lines) == 2
        assert "Zwetschke" in lines[1]

    def test_name_is_refused_in_the_address_when_called_over_rest(
        self, client: FlaskClient, headers: dict[str, str], patient: Patient
    ) -> None:
        error_of(
            client.get("/api/v1/patients?search=Zwetschke", headers=headers), HTTPStatus.UNPROCESSABLE_ENTITY
        )
        found = client.post("/api/v1/patients/search", json={"search": "zwetsch"}, headers=headers)
        assert [one["id"] for one in found.json["items"]] == [str(patient.public_id)]


def _hex(public_id: str) -> str:
    """As the databases keep an id."""
    return public_id.replace("-", "")
