"""The pages of a bulk upload: a manifest, photographs one by one or a few at a time, and the job that follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import TestResponse

from melanoma_app.models import Clinic, Job, LesionImage, Patient, Prediction, StagedPhotograph, User
from melanoma_app.models.vocabulary import JobState, Role
from melanoma_app.services.job_runs import run_job
from tests.browsing import Browser, Page
from tests.factories import PatientFactory, UserFactory
from tests.photographs import draw_photograph
from tests.records import Records

JSON = {"Accept": "application/json"}


@pytest.fixture
def patient(clinic: Clinic) -> Patient:
    return PatientFactory(clinic=clinic, consent_to_ai_analysis=True)


@pytest.fixture
def nurse(clinic: Clinic) -> User:
    return UserFactory(clinic=clinic, role=Role.NURSE)


@pytest.fixture
def page(nurse: User, sign_in: Callable[[User], Browser], records: Records) -> Browser:
    """The nurse's browser."""
    return sign_in(nurse)


def list_photographs(patient: Patient, *names: str) -> tuple[bytes, str]:
    rows = [f"{name},{patient.mrn},palms/soles,2024-03-01" for name in names]
    return "\n".join(["image,mrn,anatom_site_general,captured_on", *rows]).encode(), "manifest.csv"


def token_of(page: Page) -> str:
    return str(page.soup.find("input", {"name": "csrf_token"})["value"])  # type: ignore[index]


def send_photographs(
    browser: Browser, page: Page, files: Sequence[tuple[str, bytes]], **headers: Any
) -> TestResponse:
    """Send the form of the job's page, as a browser does that was given these files."""
    form = next(one for one in page.soup.find_all("form") if "/photographs" in str(one["action"]))
    data: Any = MultiDict({"csrf_token": token_of(page)})
    for name, content in files:
        data.add("photographs", FileStorage(BytesIO(content), name))
    return browser.client.post(
        str(form["action"]), data=data, content_type="multipart/form-data", headers=headers
    )


def test_many_photographs_are_taken_in_when_a_nurse_sends_them_without_scripts(
    app: Flask, page: Browser, patient: Patient, records: Records
) -> None:
    assert "/uploads/new" in page.open("/patients").links()
    assert "/uploads/new" in page.open("/jobs").links()
    begun = page.fill_in(
        "/uploads/new", action="/uploads", manifest=list_photographs(patient, "1.jpg", "2.jpg", "3.jpg")
    )
    job = records.one(Job)
    assert begun.path == f"/jobs/{job.public_id}"
    assert "0 of 3 have come. Missing are those of these rows of the manifest" in begun.text
    assert "2, 3, 4" in begun.text

    two = [("1.jpg", draw_photograph(seed=1)), ("2.jpg", draw_photograph(seed=2))]
    answer = send_photographs(page, begun, [*two, ("cat.jpg", draw_photograph())])

    assert answer.status_code == HTTPStatus.SEE_OTHER
    shown = page.open(begun.path)
    assert "“cat.jpg”: No row of the manifest" in shown.text
    assert "2 of 3 have come" in shown.text
    assert f"/jobs/{job.public_id}" in page.open("/uploads/new").links()
    told = page.client.get(f"{begun.path}/progress").json
    assert (told["state"], told["is_over"]) == ("Waiting for photographs", False)

    send_photographs(page, shown, [("3.jpg", draw_photograph(seed=3))])
    assert records.one(Job).state is JobState.WAITING
    with app.app_context():
        run_job(job_id=job.id)

    done = page.open(begun.path)
    assert "3 of 3 done" in done.text
    assert not [form for form in done.soup.find_all("form") if "/photographs" in str(form.get("action"))]
    assert records.count(LesionImage) == records.count(Prediction) == 3
    assert "Bulk upload" in page.open("/jobs").text


def test_script_is_told_what_to_send_and_how_far_it_is(
    page: Browser, patient: Patient, records: Records
) -> None:
    form = page.open("/uploads/new")
    manifest = list_photographs(patient, "1.jpg", "2.jpg")
    data = {"csrf_token": token_of(form), "manifest": FileStorage(BytesIO(manifest[0]), manifest[1])}
    answer = page.client.post("/uploads", data=data, headers=JSON)

    assert answer.status_code == HTTPStatus.CREATED
    where = answer.json
    job = page.open(where["page"])
    first = [("1.jpg", draw_photograph(seed=1))]
    for _ in range(2):  # the first answer was lost
        sent = send_photographs(page, job, first, **JSON)
        assert sent.json == {"wanted": 2, "arrived": 1, "has_begun": False}
    names = {"csrf_token": token_of(job), "name": ["1.jpg", "2.jpg", "3.jpg"]}
    assert page.client.post(where["wanted"], data=names, headers=JSON).json == {"names": ["2.jpg"]}

    refused = send_photographs(page, job, [("2.jpg", b"GIF89a")], **JSON)
    assert refused.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert "GIF" in refused.json["message"]
    sent = send_photographs(page, job, [("2.jpg", draw_photograph(seed=2))], **JSON)
    assert sent.json == {"wanted": 2, "arrived": 2, "has_begun": True}
    assert records.count(StagedPhotograph) == 2


def test_rows_are_named_and_nothing_is_kept_when_the_manifest_is_wrong(
    page: Browser, patient: Patient, records: Records
) -> None:
    manifest = list_photographs(patient, "1.jpg", "folder/2.jpg")

    refused = page.fill_in("/uploads/new", action="/uploads", manifest=manifest)

    assert refused.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Row 3: A browser sends files without their folders" in refused.error_of("manifest")
    data = {"csrf_token": token_of(refused), "manifest": FileStorage(BytesIO(manifest[0]), "m.csv")}
    told = page.client.post("/uploads", data=data, headers=JSON)
    assert told.json["problems"][0].startswith("Row 3: ")
    no_file = page.fill_in("/uploads/new", action="/uploads")
    assert "Choose the manifest" in no_file.error_of("manifest")
    assert records.count(Job) == 0


def test_poisoned_photograph_is_set_aside_and_named_when_the_rest_is_begun_with(
    app: Flask, page: Browser, patient: Patient, records: Records
) -> None:
    begun = page.fill_in(
        "/uploads/new", action="/uploads", manifest=list_photographs(patient, "1.jpg", "2.jpg", "3.jpg")
    )
    whole = draw_photograph(seed=1)
    send_photographs(page, begun, [("1.jpg", whole[: len(whole) // 2]), ("2.jpg", draw_photograph(seed=2))])
    shown = page.open(begun.path)
    begin = shown.form(action=f"/uploads/{records.one(Job).public_id}/begin")

    assert "are being taken in" in page.send(begin, shown).text
    with app.app_context():
        run_job(job_id=records.one(Job).id)

    done = page.open(begun.path)
    assert "1 of 3 done, 2 set aside" in done.text
    assert "No photograph came for this row." in done.text
    listed = app.test_cli_runner().invoke(args=["jobs", "list"])
    assert "bulk_upload\tdone\t1 of 3 done, 2 failed" in listed.output
    again = page.send(done.form(action=f"{begun.path}/retry"), done)
    assert "0 of 2 have come" in again.text


def test_files_go_when_an_upload_is_cancelled_on_its_page_or_the_command_line(
    app: Flask, page: Browser, nurse: User, patient: Patient, records: Records
) -> None:
    manifest = list_photographs(patient, "1.jpg", "2.jpg")
    runner = app.test_cli_runner()
    for number in range(2):
        begun = page.fill_in("/uploads/new", action="/uploads", manifest=manifest)
        send_photographs(page, begun, [("1.jpg", draw_photograph())])
        (staged,) = records.all(StagedPhotograph, StagedPhotograph.storage_key.is_not(None))
        assert records.stored(str(staged.storage_key)).is_file()
        if number:
            public_id = begun.path.rpartition("/")[2]
            done = runner.invoke(args=["jobs", "cancel", public_id, "--by", nurse.username])
            assert "cancelled" in done.output, done.output
        else:
            cancelled = page.send(begun.form(action=f"{begun.path}/cancel"), begun)
            assert "The job is cancelled" in cancelled.text
            assert runner.invoke(args=["storage", "sweep"]).exit_code == 0
        assert not records.stored(str(staged.storage_key)).exists()
        assert records.count(StagedPhotograph) == 0


def test_upload_is_not_there_for_another_clinic_nor_open_to_a_colleague(
    page: Browser, patient: Patient, clinic: Clinic, sign_in: Callable[[User], Browser], records: Records
) -> None:
    page.fill_in("/uploads/new", action="/uploads", manifest=list_photographs(patient, "1.jpg"))
    public_id = records.one(Job).public_id
    others = {
        HTTPStatus.NOT_FOUND: sign_in(UserFactory(role=Role.NURSE)),
        HTTPStatus.FORBIDDEN: sign_in(UserFactory(clinic=clinic, role=Role.NURSE)),
    }

    for status, other in others.items():
        assert other.client.get(f"/jobs/{public_id}").status_code == status
        assert other.client.get(f"/jobs/{public_id}/progress").status_code == status
        for address in (f"/jobs/{public_id}/cancel", f"/jobs/{public_id}/retry"):
            assert other.post(address).status_code == status
        for step in ("photographs", "wanted", "begin"):
            assert other.post(f"/uploads/{public_id}/{step}").status_code == status
        assert "Bulk upload" not in other.open("/jobs").text
    assert records.one(Job).state is JobState.COLLECTING


def test_answer_says_what_is_wrong_when_the_store_is_gone(
    page: Browser, patient: Patient, image_folder: Any, records: Records
) -> None:
    begun = page.fill_in("/uploads/new", action="/uploads", manifest=list_photographs(patient, "1.jpg"))
    image_folder.write_bytes(b"no folder")

    answer = send_photographs(page, begun, [("1.jpg", draw_photograph())], **JSON)

    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.headers["Retry-After"]
    assert "could not be stored" in answer.json["message"]
    image_folder.unlink()
    answer = send_photographs(page, begun, [("1.jpg", draw_photograph())], **JSON)
    assert answer.json["has_begun"] is True
