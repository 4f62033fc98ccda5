"""The audit pages: who saw or changed what, filtered, paged, exported, verified."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, AuditEvent, Clinic, Patient, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from tests.browsing import Browser, Page, words
from tests.factories import PatientFactory, PatientMergeFactory, UserFactory
from tests.records import Records

Append = Callable[..., None]


@pytest.fixture
def admin(clinic: Clinic) -> User:
    return UserFactory(clinic=clinic, role=Role.ADMIN, username="ada")


@pytest.fixture
def audit(sign_in: Callable[[User], Browser], admin: User) -> Browser:
    """The administrator's browser."""
    return sign_in(admin)


@pytest.fixture
def patient(clinic: Clinic) -> Patient:
    return PatientFactory(clinic=clinic, mrn="A-1", family_name="Zauberlehrling")


@pytest.fixture
def append(app: object, user: User) -> Append:
    """Append entries of the clinician's, or of somebody else's."""

    def append_entries(action: AuditAction, *, times: int = 1, by: User = user, **values: object) -> None:
        with app.app_context():  # type: ignore[attr-defined]
            for _ in range(times):
                record_event(action=action, actor=Actor(user=by, origin="192.0.2.7"), **values)  # type: ignore[arg-type]
            db.session.commit()

    return append_entries


def rows(page: Page) -> list[dict[str, str]]:
    """The entries of the page, by the names of their columns."""
    assert page.status == 200, page.text
    return [
        {str(cell["data-label"]): words(cell) for cell in row.select("td")}
        for row in page.soup.select("table tbody tr")
    ]


def actions(page: Page) -> list[str]:
    return [row["What"] for row in rows(page)]


def test_page_tells_who_did_what_when_and_from_where_when_opened(
    audit: Browser, append: Append, patient: Patient, user: User
) -> None:
    append(AuditAction.PATIENT_READ, subject_public_id=patient.public_id, patient=patient)

    page = audit.open("/audit")

    entry = rows(page)[0]
    assert (entry["Who"], entry["What"]) == (user.username, "Opened the patient's record")
    assert entry["From where"] == "192.0.2.7"
    now = utc_now()
    assert f"{now.day} {now:%b %Y}, " in entry["When"]
    assert f"/patients/{patient.public_id}" in page.links()
    assert "Zauberlehrling" not in page.text


def test_details_stand_in_words_when_an_entry_has_some(audit: Browser, append: Append) -> None:
    append(
        AuditAction.RESEARCH_EXPORTED,
        details={"patients": 12, "suppressed": ["age"], "is_dry": False, "filters": {"site": "head/neck"}},
    )

    details = rows(audit.open("/audit"))[0]["Details"]

    for words_of_it in ("Patients 12", "Suppressed age", "Is dry no", "Filters site head/neck"):
        assert words_of_it in details


def test_reading_is_an_entry_when_the_log_is_read(audit: Browser, admin: User) -> None:
    audit.open("/audit?person=eva")

    entry = rows(audit.open("/audit"))[0]

    assert (entry["Who"], entry["What"]) == ("ada", "Read the audit log")
    assert "Person eva" in entry["Details"]


def test_pages_follow_one_another_without_a_gap_when_there_are_many(
    audit: Browser, append: Append, patient: Patient
) -> None:
    append(AuditAction.PATIENT_READ, times=60, patient=patient, subject_public_id=patient.public_id)

    page, numbers = audit.open(f"/audit?patient={patient.public_id}&action=patient_read"), []
    while True:
        numbers += [int(row["No."]) for row in rows(page)]
        following = page.soup.select_one("nav.pager a[rel=next]")
        if following is None:
            break
        page = audit.open(str(following["href"]))

    assert len(numbers) == 60
    assert numbers == sorted(numbers, reverse=True)


class TestFilters:
    def test_patients_entries_alone_are_shown_when_an_mrn_is_sent(
        self, audit: Browser, append: Append, patient: Patient, clinic: Clinic
    ) -> None:
        append(AuditAction.PATIENT_READ, patient=patient)
        append(AuditAction.IMAGE_READ, patient=PatientFactory(clinic=clinic))

        page = audit.fill_in("/audit", patient=" a-1 ")

        assert actions(page) == ["Opened the patient's record"]
        assert "a-1" not in page.response.request.full_path.lower()

    def test_entries_of_a_merged_record_count_when_the_kept_one_is_asked_for(
        self, audit: Browser, append: Append, clinic: Clinic
    ) -> None:
        merge = PatientMergeFactory(kept__clinic=clinic)
        append(AuditAction.PATIENT_EDITED, patient=merge.merged)

        assert actions(audit.open(f"/audit?patient={merge.kept.public_id}")) == ["Edited the patient"]

    def test_lists_count_when_they_are_asked_for(
        self, audit: Browser, append: Append, patient: Patient, clinic: Clinic
    ) -> None:
        append(AuditAction.PATIENTS_LISTED, details={"patients": [str(uuid.uuid4()), str(patient.public_id)]})
        append(AuditAction.PATIENTS_LISTED, details={"patients": [str(uuid.uuid4())]})

        assert rows(audit.open(f"/audit?patient={patient.public_id}")) == []
        page = audit.open(f"/audit?patient={patient.public_id}&with_lists=y")
        assert "Saw patients in a list" in actions(page)
        assert actions(page).count("Saw patients in a list") == 1

    def test_person_action_day_and_record_narrow_the_list_when_given(
        self, audit: Browser, append: Append, clinic: Clinic, user: User
    ) -> None:
        eva, record, today = UserFactory(clinic=clinic), uuid.uuid4(), utc_now().date().isoformat()
        append(AuditAction.LESION_EDITED, by=eva, subject_public_id=record)
        append(AuditAction.LESION_ADDED, by=eva)
        append(AuditAction.LESION_EDITED)

        for address in (
            f"/audit?person={eva.username}&action=lesion_edited",
            f"/audit?record={record}",
            f"/audit?record={record}&date_from={today}&date_to={today}",
        ):
            assert [(row["Who"], row["What"]) for row in rows(audit.open(address))] == [
                (eva.username, "Edited a lesion")
            ]
        assert rows(audit.open(f"/audit?record={record}&date_to=2020-01-01")) == []

    def test_days_are_the_clinics_when_it_is_far_from_utc(
        self, audit: Browser, append: Append, clinic: Clinic, records: Records
    ) -> None:
        append(AuditAction.LESION_ADDED)
        records.execute("UPDATE clinic SET time_zone = 'Pacific/Auckland' WHERE id = :id", id=clinic.id)
        records.execute(
            "UPDATE audit_event SET occurred_at = '2026-03-01 20:00:00.000000' WHERE action = 'lesion_added'"
        )

        day = "/audit?action=lesion_added&date_from={0}&date_to={0}"
        assert "2 Mar 2026, 09:00" in rows(audit.open(day.format("2026-03-02")))[0]["When"]
        assert rows(audit.open(day.format("2026-03-01"))) == []

    def test_nothing_is_listed_when_a_filter_is_wrong(self, audit: Browser, patient: Patient) -> None:
        for query in (
            "patient=A-1",  # an MRN does not belong in an address
            "record=1",
            "action=' OR 1=1",
            "date_from=tomorrow",
            "date_from=2026-02-02&date_to=2026-02-01",
            "date_to=9999-12-31",
            "date_from=0001-01-01",
            "clinic=2",
            "cursor=x",
        ):
            for address in ("/audit", "/audit.csv"):
                page = audit.open(f"{address}?{query}")
                assert page.status == 422, query
                assert not page.soup.select("table")

    def test_field_says_so_when_no_patient_has_the_mrn(self, audit: Browser, patient: Patient) -> None:
        PatientFactory(mrn="B-2")  # of another clinic

        page = audit.fill_in("/audit", patient="B-2")

        assert page.status == 422
        assert "MRN" in page.error_of("patient")


class TestAnotherClinic:
    def test_entries_are_not_shown_when_they_are_another_clinics(
        self, audit: Browser, append: Append, outsider: User, patient: Patient
    ) -> None:
        append(AuditAction.PATIENT_READ, by=outsider, patient=PatientFactory(clinic=outsider.clinic))

        assert outsider.username not in audit.open("/audit").text
        assert outsider.username not in audit.open("/audit.csv").text
        assert rows(audit.open(f"/audit?person={outsider.username}")) == []


class TestFile:
    def test_file_holds_every_entry_as_text_when_exported(
        self, audit: Browser, append: Append, patient: Patient, clinic: Clinic
    ) -> None:
        append(AuditAction.PATIENT_READ, times=3, patient=patient)
        append(AuditAction.LESION_ADDED, by=UserFactory(clinic=clinic, username="=cmd"), patient=patient)

        response = audit.open(f"/audit.csv?patient={patient.public_id}").response

        assert response.headers["Content-Disposition"].startswith("attachment; filename=audit-")
        found = list(csv.DictReader(io.StringIO(response.get_data().decode("utf-8-sig"))))
        assert [one["action"] for one in found] == ["lesion_added", *["patient_read"] * 3]
        assert found[0]["person"] == "'=cmd"
        assert {one["patient_id"] for one in found} == {str(patient.public_id)}
        assert "A-1" not in response.get_data(as_text=True)

    def test_export_is_an_entry_when_made(self, audit: Browser, records: Records) -> None:
        audit.open("/audit.csv?action=sign_in")

        entry = records.one(AuditEvent, AuditEvent.action == AuditAction.AUDIT_EXPORTED)
        assert entry.details == {"list": "audit", "rows": 1, "filters": {"action": "sign_in"}}

    def test_file_is_whole_when_it_takes_several_readings(
        self, audit: Browser, append: Append, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("melanoma_app.services.audit_log.ROWS_AT_ONCE", 4)
        append(AuditAction.LESION_ADDED, times=11)

        lines = audit.open("/audit.csv?action=lesion_added").response.get_data(as_text=True).splitlines()

        assert len(lines) == 12


class TestChain:
    def test_page_says_that_it_holds_when_nobody_touched_it(
        self, audit: Browser, append: Append, records: Records
    ) -> None:
        append(AuditAction.LESION_ADDED, times=3)

        page = audit.fill_in("/audit", action="/audit/verify")

        assert "The chain holds." in page.text
        assert records.all(AuditEvent)[-1].details == {"verified": "y", "faults": 0}

    def test_page_names_the_entry_when_somebody_edited_one(
        self, audit: Browser, append: Append, clinic: Clinic, records: Records
    ) -> None:
        append(AuditAction.LESION_ADDED)
        chain = records.one(AuditChain, AuditChain.clinic_id == clinic.id)
        records.execute(
            "UPDATE audit_event SET origin = 'x' WHERE sequence = :number AND chain_id = :chain",
            number=chain.last_sequence,
            chain=chain.id,
        )

        page = audit.fill_in("/audit", action="/audit/verify")

        assert f"Entry {chain.last_sequence}: the entry was edited." in page.text


def test_patients_page_leads_to_who_saw_it_when_an_administrator_looks(
    audit: Browser, browser: Browser, patient: Patient
) -> None:
    address = f"/audit?patient={patient.public_id}&with_lists=y"

    assert address in audit.open(f"/patients/{patient.public_id}").links()
    assert address not in browser.open(f"/patients/{patient.public_id}").links()
    assert "Opened the patient's record" in actions(audit.open(address))


def test_entries_come_in_pages_when_asked_for_over_rest(
    client: FlaskClient,
    admin: User,
    token_headers: Callable[[User], dict[str, str]],
    append: Append,
    patient: Patient,
) -> None:
    append(AuditAction.PATIENT_READ, times=3, patient=patient)
    headers, address = (
        token_headers(admin),
        f"/api/v1/audit?patient={patient.public_id}&action=patient_read&size=2",
    )

    first = client.get(address, headers=headers).json
    second = client.get(f"{address}&cursor={first['next_cursor']}", headers=headers).json

    assert [len(page["items"]) for page in (first, second)] == [2, 1]
    assert second["next_cursor"] is None
    assert {one["patient_id"] for one in first["items"]} == {str(patient.public_id)}
