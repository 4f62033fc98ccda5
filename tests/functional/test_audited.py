"""Whatever shows or changes a patient's data leaves an entry: who, what, when, from where, and which patient."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from melanoma_app.models import AuditEvent, Clinic, Job, Patient, User
from melanoma_app.models.vocabulary import AuditAction, JobItemState, JobKind, JobState, Role
from tests.api import send_image
from tests.browsing import Browser
from tests.factories import (
    JobFactory,
    JobItemFactory,
    LesionFactory,
    LesionImageFactory,
    PatientFactory,
    PatientMergeFactory,
    UserFactory,
)
from tests.functional.test_borders import IN_GROUP, OPERATIONS, PAGES
from tests.hostile.doors import call_operation, csrf_token, fill, use_page
from tests.hostile.stock import take_stock
from tests.photographs import draw_photograph
from tests.records import Records
from tests.released import OTHER, SERVED

A = AuditAction
NAMES_THE_PATIENT = {
    "GET /patients/{patient}": A.PATIENT_READ,
    "GET /patients/{patient}/edit": A.PATIENT_READ,
    "POST /patients/{patient}/edit": A.PATIENT_EDITED,
    "POST /patients/{patient}/consents": A.CONSENT_RECORDED,
    "GET /patients/{patient}/merge": A.PATIENT_READ,
    "POST /patients/{patient}/merge": A.PATIENTS_MERGED,
    "POST /merges/{merge}/revert": A.PATIENT_MERGE_REVERTED,
    "POST /patients/{patient}/lesions": A.LESION_ADDED,
    "GET /lesions/{lesion}/edit": A.PATIENT_READ,
    "POST /lesions/{lesion}/edit": A.LESION_EDITED,
    "GET /lesions/{lesion}": A.PATIENT_READ,
    "GET /lesions/{lesion}/compare": A.PATIENT_READ,
    "POST /lesions/{lesion}/histopathology": A.HISTOPATHOLOGY_RECORDED,
    "GET /lesions/{lesion}/images/new": A.PATIENT_READ,
    "POST /lesions/{lesion}/images/new": A.IMAGE_ADDED,
    "GET /predictions/{prediction}/heat-map": A.IMAGE_READ,
    "GET /examinations/{image}": A.PREDICTION_READ,
    "POST /examinations/{image}/score": A.IMAGE_SCORED,
    "GET /examinations/{image}/report": A.REPORT_READ,
    "GET /examinations/{image}/report.pdf": A.REPORT_READ,
    "POST /examinations/{image}/review": A.REVIEW_SIGNED,
    "POST /reviews/{review}/addenda": A.ADDENDUM_ADDED,
    "GET /images/{image}": A.IMAGE_READ,
    "GET /examinations/{image}/first-read": A.IMAGE_READ,
    "POST /examinations/{image}/first-read": A.FIRST_READ_RECORDED,
    "POST /examinations/{image}/checklist": A.CHECKLIST_RECORDED,
    "GET /patients/{patient}/fhir.json": A.RECORDS_EXPORTED,
    "GET /patients/{patient}/export.zip": A.PATIENT_EXPORTED,
    "GET /patients/{patient}/erase": A.PATIENT_READ,
    "POST /patients/{patient}/erase": A.PATIENT_ERASED,
    "GET /api/v1/patients/{patient}/export": A.PATIENT_EXPORTED,
    "POST /api/v1/patients/{patient}/erasure": A.PATIENT_ERASED,
    "POST /patients/new": A.PATIENT_REGISTERED,
    "POST /api/v1/patients": A.PATIENT_REGISTERED,
    "GET /api/v1/patients/{patient}": A.PATIENT_READ,
    "PUT /api/v1/patients/{patient}": A.PATIENT_EDITED,
    "GET /api/v1/patients/{patient}/timeline": A.PATIENT_READ,
    "GET /api/v1/patients/{patient}/consents": A.PATIENT_READ,
    "POST /api/v1/patients/{patient}/consents": A.CONSENT_RECORDED,
    "GET /api/v1/patients/{patient}/fhir": A.RECORDS_EXPORTED,
    "POST /api/v1/patients/{patient}/merge": A.PATIENTS_MERGED,
    "POST /api/v1/merges/{merge}/revert": A.PATIENT_MERGE_REVERTED,
    "POST /api/v1/patients/{patient}/lesions": A.LESION_ADDED,
    "PUT /api/v1/lesions/{lesion}": A.LESION_EDITED,
    "GET /api/v1/lesions/{lesion}/history": A.PATIENT_READ,
    "GET /api/v1/lesions/{lesion}/comparison": A.PATIENT_READ,
    "GET /api/v1/lesions/{lesion}/histopathology": A.PATIENT_READ,
    "POST /api/v1/lesions/{lesion}/histopathology": A.HISTOPATHOLOGY_RECORDED,
    "POST /api/v1/lesions/{lesion}/images": A.IMAGE_ADDED,
    "GET /api/v1/images/{image}": A.PREDICTION_READ,
    "GET /api/v1/images/{image}/file": A.IMAGE_READ,
    "POST /api/v1/images/{image}/predictions": A.IMAGE_SCORED,
    "GET /api/v1/images/{image}/report": A.REPORT_READ,
    "POST /api/v1/images/{image}/first-reads": A.FIRST_READ_RECORDED,
    "POST /api/v1/images/{image}/checklists": A.CHECKLIST_RECORDED,
    "POST /api/v1/images/{image}/review": A.REVIEW_SIGNED,
    "POST /api/v1/reviews/{review}/addenda": A.ADDENDUM_ADDED,
    "GET /api/v1/predictions/{prediction}": A.PREDICTION_READ,
    "GET /api/v1/predictions/{prediction}/heat-map": A.IMAGE_READ,
}
LISTS_THE_PATIENT = {
    "GET /",
    "GET /patients",
    "GET /examinations",
    "GET /worklist",
    "GET /patients.csv",
    "GET /examinations.csv",
    "GET /worklist.csv",
    "POST /patients/check",
    "GET /api/v1/patients",
    "POST /api/v1/patients/search",
    "GET /api/v1/worklist",
}
"""One entry for the list names every patient on it; a file for a spreadsheet leaves RECORDS_EXPORTED as well."""
WITHOUT_A_PATIENT = {
    "GET /statistics.csv": A.RECORDS_EXPORTED,
    "POST /models/{model}": A.MODEL_ACTIVATED,
    "PUT /api/v1/models/active": A.MODEL_ACTIVATED,
    "POST /jobs": A.JOB_CREATED,
    "POST /jobs/{job}/cancel": A.JOB_CANCELLED,
    "POST /jobs/{job}/retry": A.JOB_RETRIED,
    "POST /uploads": A.JOB_CREATED,
    "GET /audit": A.AUDIT_READ,
    "GET /audit.csv": A.AUDIT_EXPORTED,
    "POST /audit/verify": A.AUDIT_READ,
    "GET /api/v1/audit": A.AUDIT_READ,
    "POST /sign-out": A.SIGN_OUT,
}
_COUNTS = "counts, of groups that are not too small; no patient"
_MODEL = "what a model says of itself; no patient"
_JOB = (
    "how far a job is; a photograph that failed is named by its lesion's number, and its opening is an entry"
)
_UPLOAD = "waits in an upload and can be opened by nobody; its taking in is an entry"
LEAVES_NONE = {
    "GET /api-docs": "the description of the API",
    "GET /crosstab": _COUNTS,
    "GET /worklist/next": "sends on to a result, whose opening is an entry",
    "GET /predictions/{prediction}": "sends on to the photograph's page, which is an entry",
    "GET /models": _MODEL,
    "GET /models/{model}": _MODEL,
    "GET /models/{model}/plots/{plot}": _MODEL,
    "GET /api/v1/models": _MODEL,
    "GET /jobs": _JOB,
    "GET /jobs/{job}": _JOB,
    "GET /jobs/{job}/progress": _JOB,
    "GET /uploads/new": "an empty form",
    "POST /uploads/{own_upload}/photographs": _UPLOAD,
    "POST /uploads/{own_upload}/wanted": _UPLOAD,
    "POST /uploads/{own_upload}/begin": _UPLOAD,
    "GET /patients/new": "an empty form",
    "GET /images/{image}/thumbnail": "the page or list that shows it is one entry for all",
    "GET /api/v1/images/{image}/thumbnail": "as on the pages",
    "POST /patients/search": "sends on to what was found, which is one entry",
    "POST /patients/{patient}/merge/search": "sends on to what was found, which is one entry",
    "POST /audit": "sends on to the entries, whose reading is one",
    **{one: _COUNTS for one in OPERATIONS if one.startswith("GET /api/v1/statistics/")},
}
QUERIES = {
    "GET /statistics.csv": "?chart=gender",
    "GET /api/v1/statistics/crosstab": "?rows=gender&columns=site",
}
"""What some addresses must say more."""
EXTRA = {
    "review": {"reason": "Seen by eye"},
    "{model}": {"replaces": SERVED.name},
    "erase": {"mrn": "{mrn}", "reason": "x", "law_lets_it_go": "y"},
    "erasure": {"mrn": "{mrn}", "law_lets_it_go": "true"},
    "search": {"search": "A-100"},
}
"""What some forms must say more, by the end of their address."""
UNJUDGED = ("/review", "/score", "/predictions", "/first-read", "/first-reads")
"""What a photograph that is signed, read or scored already does not take."""
OF_ACCOUNTS = ("/account", "/users", "/clinic", "/research")
"""No patient stands there; what leaves an entry is held by the tests of those pages."""
EVERYTHING = (*NAMES_THE_PATIENT, *LISTS_THE_PATIENT, *WITHOUT_A_PATIENT, *LEAVES_NONE)


def test_every_endpoint_is_said_to_leave_an_entry_or_none_when_one_is_added() -> None:
    others = [one for one in (*PAGES, *OPERATIONS) if not one.partition(" ")[2].startswith(OF_ACCOUNTS)]

    assert sorted(EVERYTHING) == sorted(others)


class Visitor:
    """Uses pages and operations as a clinician, or as an administrator where only they may, each with all it takes."""

    def __init__(self, app: Flask, ids: dict[str, str], clinic: Clinic, records: Records) -> None:
        self.app, self.ids, self.clinic, self.records = app, ids, clinic, records
        self.clients: dict[Role, tuple[FlaskClient, str]] = {}
        self.headers: dict[Role, dict[str, str]] = {}

    def use(self, endpoint: str, *, meanwhile: Callable[[], None] = lambda: None) -> tuple[TestResponse, str]:
        """The answer, and the public id of the patient it is about; `meanwhile` happens just before."""
        ids, whom = self._prepare(endpoint)
        meanwhile()
        group = IN_GROUP[PAGES.get(endpoint) or OPERATIONS[endpoint]]
        role = Role.CLINICIAN if Role.CLINICIAN in group else Role.ADMIN
        extra = fill(EXTRA.get(endpoint.rpartition("/")[2], {}), ids)
        client, token = self.clients[role]
        if endpoint in QUERIES:
            address = endpoint.removeprefix("GET ") + QUERIES[endpoint]
            return client.get(address, headers=self.headers[role]), whom
        if endpoint in OPERATIONS:
            return call_operation(self.app.test_client(), endpoint, ids, self.headers[role], **extra), whom
        return use_page(client, endpoint, ids, token=token, **extra), whom

    def _prepare(self, endpoint: str) -> tuple[dict[str, str], str]:
        """What the address and the form name, each time as if for the first time."""
        self.records.execute("UPDATE patient SET mrn = :mrn WHERE mrn = 'A-100'", mrn=uuid.uuid4().hex)
        ids = self.ids | {
            "mrn": "",
            "model": OTHER if endpoint.startswith("POST /models") else self.ids["model"],
        }
        if "/jobs" in endpoint:
            return ids | {"job": self._make_job()}, ""
        if endpoint == "POST /uploads":
            return ids | {"mrn": PatientFactory(clinic=self.clinic).mrn}, ""
        if "{merge}" in endpoint:
            merge = PatientMergeFactory(kept__clinic=self.clinic)
            return ids | {"merge": str(merge.public_id)}, str(merge.kept.public_id)
        if endpoint.endswith(UNJUDGED) and not endpoint.startswith("GET /api/v1/images/"):
            image_id, whom = self._take_unscored()
            return ids | {"image": image_id, **self._answer_of(endpoint, image_id)}, whom
        if not endpoint.startswith("GET"):
            ids["other_patient"] = str(PatientFactory(clinic=self.clinic).public_id)
            if "{patient}" in endpoint:
                patient = PatientFactory(clinic=self.clinic)
                ids |= {"patient": str(patient.public_id), "mrn": patient.mrn}
        if endpoint in ("POST /patients/check", "POST /api/v1/patients/search"):
            return ids, str(PatientFactory(clinic=self.clinic, mrn="A-100").public_id)
        return ids, "" if endpoint in ("POST /patients/new", "POST /api/v1/patients") else ids["patient"]

    def _make_job(self) -> str:
        """One of which something has failed; no other is under way, and a photograph is there to be scored."""
        self.records.change(Job, state=JobState.DONE)
        LesionImageFactory(lesion__patient__clinic=self.clinic)
        whose = {"clinic_id": self.clinic.id, "made_by_id": UserFactory(clinic=self.clinic).id}
        job = JobFactory(**whose, kind=JobKind.IMPORT_IMAGES, failed=1)
        JobItemFactory(job_id=job.id, state=JobItemState.FAILED)
        return str(job.public_id)

    def _take_unscored(self) -> tuple[str, str]:
        """A photograph that no model has looked at, of a patient who lets models look at them now."""
        patient = PatientFactory(clinic=self.clinic, consent_to_ai_analysis=False)
        lesion, headers = LesionFactory(patient=patient), self.headers[Role.CLINICIAN]
        image = send_image(self.app.test_client(), lesion.public_id, headers, draw_photograph()).json
        self.records.execute("UPDATE patient SET consent_to_ai_analysis = 1 WHERE id = :id", id=patient.id)
        return str(image["id"]), str(patient.public_id)

    def _answer_of(self, endpoint: str, image_id: str) -> dict[str, str]:
        """A review names the model's answer that the clinician saw."""
        if not endpoint.endswith("/review"):
            return {}
        address = f"/api/v1/images/{image_id}/predictions"
        answer = self.app.test_client().post(address, headers=self.headers[Role.CLINICIAN])
        return {"prediction": str(answer.json["id"])}


@pytest.fixture
def visitor(
    app: Flask,
    clinic: Clinic,
    user: User,
    ids: dict[str, str],
    headers: dict[str, str],
    sign_in: Callable[[User], Browser],
    token_headers: Callable[[User], dict[str, str]],
    records: Records,
) -> Visitor:
    admin = UserFactory(clinic=clinic, role=Role.ADMIN)
    visitor = Visitor(app, ids, clinic, records)
    for role, person in ((Role.CLINICIAN, user), (Role.ADMIN, admin)):
        client = sign_in(person).client
        visitor.clients[role] = client, csrf_token(client)
    visitor.headers = {Role.CLINICIAN: headers, Role.ADMIN: token_headers(admin)}
    send_image(app.test_client(), ids["lesion"], headers, draw_photograph())  # to compare with
    return visitor


@pytest.fixture
def environment(environment: dict[str, str], shelf: Path) -> dict[str, str]:
    """An app with two released models, of which the older serves."""
    return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}


def newest(records: Records) -> int:
    """The key of the newest entry."""
    return records.all(AuditEvent)[-1].id


on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
"""What is recorded is not the database's to say; that what cannot be recorded is not done is tested on both."""


@on_sqlite
def test_entry_tells_who_what_when_where_and_of_whom_when_a_record_is_shown_or_changed(
    visitor: Visitor, records: Records
) -> None:
    for endpoint, action in NAMES_THE_PATIENT.items():
        last = newest(records)
        answer, whom = visitor.use(endpoint)

        assert answer.status_code < 400, (endpoint, answer.get_data(as_text=True)[-2000:])
        left = records.all(AuditEvent, AuditEvent.id > last, AuditEvent.action == action)
        whom = whom or str(records.one(Patient, Patient.mrn == "A-100").public_id)
        assert whom in {str(entry.patient_public_id) for entry in left}, endpoint
        for entry in left:
            assert entry.subject_public_id is not None, endpoint
            assert entry.actor_name.startswith("user-"), endpoint
            assert entry.actor_public_id is not None, endpoint
            assert entry.origin == "127.0.0.1", endpoint
            assert entry.request_id == answer.headers["X-Request-Id"], endpoint
            assert datetime.now(UTC) - entry.occurred_at < timedelta(minutes=1), endpoint


@on_sqlite
def test_one_entry_names_everybody_when_a_list_shows_them(visitor: Visitor, records: Records) -> None:
    for endpoint in LISTS_THE_PATIENT:
        last = newest(records)
        answer, whom = visitor.use(endpoint)

        assert answer.status_code == 200, endpoint
        left = records.all(AuditEvent, AuditEvent.id > last)
        lists = [entry for entry in left if entry.action is A.PATIENTS_LISTED]
        shown = {one for entry in lists for one in entry.details["patients"]}
        assert whom in shown, endpoint
        assert len(lists) <= 3, endpoint  # the worklist has three parts
        assert (A.RECORDS_EXPORTED in {entry.action for entry in left}) is endpoint.endswith(".csv"), endpoint


@on_sqlite
def test_entry_is_left_without_a_patient_or_none_at_all_when_no_record_is_shown(
    visitor: Visitor, records: Records
) -> None:
    expected = {**dict.fromkeys(LEAVES_NONE), **WITHOUT_A_PATIENT}  # signing out comes last
    for endpoint, action in expected.items():
        last = newest(records)
        answer, _ = visitor.use(endpoint)

        assert answer.status_code < 400, (endpoint, answer.get_data(as_text=True)[-2000:])
        assert answer.location is None or "/sign-in" not in answer.location or "sign-out" in endpoint, (
            endpoint
        )
        left = [entry.action for entry in records.all(AuditEvent, AuditEvent.id > last)]
        assert left[-1:] == ([action] if action else []), endpoint
        assert set(left) <= {action, A.MODEL_REGISTERED}, (
            endpoint
        )  # a model's first switch takes it in as well


PAGES_OF_A_RECORD = {
    "GET /patients/{patient}",
    "GET /examinations/{image}",
    "GET /examinations/{image}/report",
}
ACTS = [
    one
    for one in (*NAMES_THE_PATIENT, *LISTS_THE_PATIENT, *WITHOUT_A_PATIENT)
    if one in OPERATIONS or one not in NAMES_THE_PATIENT or one in PAGES_OF_A_RECORD
]
"""Every service once: most pages call what an operation calls."""
REFUSE = {
    "sqlite": "CREATE TRIGGER refuse BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'refused'); END",
    "mariadb": "CREATE TRIGGER refuse BEFORE INSERT ON audit_event FOR EACH ROW "
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'",
}


def test_nothing_is_done_or_shown_when_it_cannot_be_audited(
    visitor: Visitor, app: Flask, records: Records, database_kind: str
) -> None:
    """Each act of the tables: 503 in words, the same rows as before, and no file left behind."""
    app.testing = False  # as when it serves
    for endpoint in ACTS:
        before: dict[str, list[str]] = {}

        def refuse(kept: dict[str, list[str]] = before) -> None:
            kept.update(take_stock(records))
            records.execute(REFUSE[database_kind])

        try:
            answer, _ = visitor.use(endpoint, meanwhile=refuse)
        finally:
            records.execute("DROP TRIGGER refuse")

        assert answer.status_code == 503, endpoint
        assert "audit log" in answer.get_data(as_text=True), endpoint
        assert "nothing was saved" in answer.get_data(as_text=True), endpoint
        assert take_stock(records) == before, endpoint
