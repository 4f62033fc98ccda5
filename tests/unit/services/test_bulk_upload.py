"""Bulk uploads: what comes is kept once, taken in once, and nothing of it stays when it is over."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask

from melanoma_app.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    NotPermittedError,
    UnavailableError,
    UnsupportedImageError,
)
from melanoma_app.extensions import image_storage
from melanoma_app.models import (
    AuditEvent,
    Clinic,
    FileToDelete,
    Job,
    JobItem,
    LesionImage,
    Patient,
    Prediction,
    StagedPhotograph,
    User,
)
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, JobItemState, JobState, Role
from melanoma_app.services import file_removal
from melanoma_app.services.actor import Actor
from melanoma_app.services.erasure import erase_patient
from melanoma_app.services.job_runs import run_job
from melanoma_app.services.jobs import cancel_job, find_job, list_failures, list_jobs, retry_job
from melanoma_app.services.storage_check import find_storage_faults
from melanoma_app.services.upload_arrivals import stage_photograph
from melanoma_app.services.upload_tidying import FORGOTTEN, KEPT, tidy_uploads
from melanoma_app.services.upload_work import GONE
from melanoma_app.services.uploads import (
    NEVER_CAME,
    begin_upload,
    count_photographs,
    find_wanted_names,
    start_upload,
)
from tests.factories import PatientFactory, UserFactory, actor_of
from tests.photographs import draw_photograph
from tests.records import Records, end_app_transaction

pytestmark = pytest.mark.usefixtures("context")

HEADER = "image,mrn,anatom_site_general,lesion_id,captured_on"


@pytest.fixture
def patient(clinic: Clinic) -> Patient:
    return PatientFactory(clinic=clinic, consent_to_ai_analysis=True)


@pytest.fixture
def manifest(patient: Patient) -> bytes:
    """Three photographs of one patient; the last name has no ending."""
    rows = [f"{name},{patient.mrn},head/neck,,2024-03-01" for name in ("a.jpg", "B.JPG", "Käfer 3")]
    return "\n".join([HEADER, *rows]).encode()


@pytest.fixture
def upload(manifest: bytes, actor: Actor) -> Job:
    return start_upload(manifest=manifest, actor=actor)


@pytest.fixture
def send(upload: Job, actor: Actor) -> Callable[..., None]:
    """Send a photograph of the upload."""

    def send_one(name: str, *, seed: int = 0, content: bytes | None = None) -> None:
        content = draw_photograph(seed=seed) if content is None else content
        stage_photograph(public_id=upload.public_id, name=name, content=content, actor=actor)

    return send_one


def stored_files() -> set[str]:
    return {file.key for file in image_storage.store.list_files()}


def files_of_photographs(records: Records) -> set[str]:
    images = records.all(LesionImage)
    return {str(key) for image in images for key in (image.storage_key, image.thumbnail_key)}


def test_photographs_are_taken_in_and_nothing_else_stays_when_all_have_come(
    upload: Job, send: Callable[..., None], patient: Patient, records: Records
) -> None:
    assert records.one(Job).state is JobState.COLLECTING
    assert run_job(job_id=upload.id), "nothing is done yet"
    send("a.jpg", seed=1)
    send("folder/b.jpg", seed=2)  # another system's case
    assert records.one(Job).state is JobState.COLLECTING
    send("Käfer 3.jpeg", seed=3)  # an umlaut as some systems write it
    assert records.one(Job).state is JobState.WAITING
    assert not list(find_storage_faults(store=image_storage.store))
    assert len(stored_files()) == 3

    assert run_job(job_id=upload.id)

    ended = records.one(Job)
    assert (ended.state, ended.total, ended.done, ended.failed) == (JobState.DONE, 3, 3, 0)
    images = records.all(LesionImage)
    assert len(images) == 3
    assert {image.captured_on.isoformat() for image in images} == {"2024-03-01"}
    assert records.count(Prediction) == 3
    assert records.count(StagedPhotograph) == records.count(FileToDelete) == 0
    assert stored_files() == files_of_photographs(records)


def test_sweep_spares_what_waits_in_an_upload_when_it_is_old(
    upload: Job, send: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_removal, "ORPHAN_AGE", -timedelta(hours=1))
    send("a.jpg", seed=1)
    image_storage.store.save(b"x", key="ab-orphan.upload")

    swept = file_removal.sweep_storage(store=image_storage.store, is_deleting=True)

    assert swept.orphans == ["ab-orphan.upload"]
    assert len(stored_files()) == 1


def test_nothing_about_a_person_is_kept_when_an_upload_waits(
    upload: Job, patient: Patient, records: Records
) -> None:
    job, rows = records.one(Job), records.all(StagedPhotograph)

    kept = f"{job.details} {job.note} {[vars(row) for row in rows]} {[vars(i) for i in records.all(JobItem)]}"

    assert patient.mrn not in kept
    assert "a.jpg" not in kept
    told = records.one(AuditEvent, AuditEvent.action == AuditAction.JOB_CREATED)
    assert told.details == {"kind": "bulk_upload", "items": 3}


def test_same_file_changes_nothing_when_it_comes_twice(
    upload: Job, send: Callable[..., None], actor: Actor, records: Records
) -> None:
    send("a.jpg", seed=1)
    before = stored_files()

    send("A.jpg", seed=1)

    assert stored_files() == before
    assert count_photographs(job=upload).arrived == 1
    with pytest.raises(ConflictError, match="Another photograph of this name"):
        send("a.jpg", seed=2)
    assert stored_files() == before
    names = ["a.jpg", "b.jpg", "käfer 3.png", "nobody.jpg"]
    assert find_wanted_names(public_id=upload.public_id, names=names, actor=actor) == names[1:3]


def test_one_file_stays_when_the_same_comes_several_times_at_once(
    app: Flask, upload: Job, user: User, records: Records
) -> None:
    workers, public_id, content = 4, upload.public_id, draw_photograph()
    barrier = Barrier(workers)

    def send_at_once(_: int) -> int:
        with app.app_context():
            barrier.wait(timeout=10)
            return stage_photograph(
                public_id=public_id, name="a.jpg", content=content, actor=actor_of(user)
            ).arrived

    with ThreadPoolExecutor(workers) as pool:
        assert list(pool.map(send_at_once, range(workers))) == [1] * workers

    (staged,) = records.all(StagedPhotograph, StagedPhotograph.storage_key.is_not(None))
    assert stored_files() == {staged.storage_key}


def test_one_file_serves_two_rows_when_both_name_it(patient: Patient, actor: Actor, records: Records) -> None:
    rows = [f"both.jpg,{patient.mrn},head/neck,{lesion},2024-03-01" for lesion in ("L1", "L2")]
    job = start_upload(manifest="\n".join([HEADER, *rows]).encode(), actor=actor)

    stage_photograph(public_id=job.public_id, name="both.jpg", content=draw_photograph(), actor=actor)
    run_job(job_id=job.id)

    assert records.count(LesionImage) == 2
    assert stored_files() == files_of_photographs(records)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("other.jpg", None, InvalidInputError),
        ("a.jpg", b"GIF89a", UnsupportedImageError),
        ("a.jpg", b"", InvalidInputError),
    ],
)
def test_nothing_is_stored_when_a_file_cannot_be_taken(
    send: Callable[..., None], name: str, content: bytes | None, problem: type[Exception]
) -> None:
    with pytest.raises(problem):
        send(name, content=content)

    assert stored_files() == set()


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (["a.jpg,NOBODY,head/neck,,2024-03-01"], "Row 2: No patient has this MRN"),
        (["a.jpg,{mrn},head/neck,,2024-03-01", "b.jpg,{mrn},nose,,"], "Row 3: "),
        (["a.jpg,{mrn},head/neck,,"], "Row 2: Write the day"),
        (["x/a.jpg,{mrn},head/neck,,2024-03-01"], "Row 2: A browser sends files without"),
        (
            ["a.jpg,{mrn},head/neck,,2024-03-01", "A.jpg,{mrn},head/neck,,2024-03-01"],
            "Row 2: Another row has",
        ),
        (["a,{mrn},head/neck,,2024-03-01", "a.png,{mrn},head/neck,,2024-03-01"], "Row 3: Another row has"),
        (["a.jpg,{mrn}"], "Row 2: The row has 2 cells"),
        ([], "has column names and no rows"),
    ],
)
def test_nothing_is_kept_and_rows_are_named_when_a_manifest_is_wrong(
    patient: Patient, actor: Actor, records: Records, rows: list[str], named: str
) -> None:
    text = "\n".join([HEADER, *rows]).format(mrn=patient.mrn)

    with pytest.raises(InvalidInputError) as caught:
        start_upload(manifest=text.encode(), actor=actor)

    assert caught.value.fields["manifest"][0].find(named) >= 0, caught.value.fields
    assert records.count(Job) == records.count(StagedPhotograph) == 0


def test_poisoned_and_missing_photographs_are_named_and_can_be_sent_again_when_set_aside(
    upload: Job, send: Callable[..., None], actor: Actor, records: Records
) -> None:
    whole = draw_photograph(seed=1)
    send("a.jpg", content=whole[: len(whole) // 2])
    send("b.jpg", seed=2)
    begin_upload(public_id=upload.public_id, actor=actor)
    with pytest.raises(ConflictError):
        send("Käfer 3.jpg", seed=3)

    run_job(job_id=upload.id)

    ended = records.one(Job)
    assert (ended.state, ended.done, ended.failed) == (JobState.DONE, 1, 2)
    problems = {one.row: one.problem for one in list_failures(job=ended)}
    assert problems.keys() == {2, 4}
    assert "missing from the file" in problems[2] or "damaged" in problems[2]
    assert problems[4] == NEVER_CAME
    assert stored_files() == files_of_photographs(records)

    again = retry_job(public_id=upload.public_id, actor=actor)
    assert again.state is JobState.COLLECTING
    assert count_photographs(job=again).missing == [2, 4]
    send("a.jpg", content=whole)
    send("Käfer 3.jpg", seed=3)
    run_job(job_id=upload.id)

    ended = records.one(Job)
    assert (ended.state, ended.total, ended.done, ended.failed) == (JobState.DONE, 3, 3, 0)
    assert records.count(LesionImage) == 3
    with pytest.raises(ConflictError):
        retry_job(public_id=upload.public_id, actor=actor)


def test_photograph_is_taken_in_once_when_a_worker_died_before_it_said_so(
    upload: Job, send: Callable[..., None], actor: Actor, records: Records
) -> None:
    send("a.jpg", seed=1)
    begin_upload(public_id=upload.public_id, actor=actor)
    staged = records.one(StagedPhotograph, StagedPhotograph.storage_key.is_not(None))
    content = image_storage.store.read(key=str(staged.storage_key))
    run_job(job_id=upload.id)
    # As it was just before the worker closed the item: the photograph is on record, and still staged.
    image_storage.store.save(content, key=str(staged.storage_key))
    records.execute(
        "INSERT INTO staged_photograph (job_id, job_item_id, patient_id, name_digest, cells, storage_key, sha256, "
        "size_bytes, changed_at) SELECT job_id, :item, patient_id, 'x', cells, :key, :sha, 1, changed_at "
        "FROM staged_photograph LIMIT 1",
        item=staged.job_item_id,
        key=staged.storage_key,
        sha=staged.sha256,
    )
    records.change(JobItem, JobItem.id == staged.job_item_id, state=JobItemState.WAITING, attempts=0)
    records.change(Job, state=JobState.RUNNING, done=0)

    run_job(job_id=upload.id)

    assert records.count(LesionImage) == records.count(Prediction) == 1
    assert records.one(Job).done == 1
    assert stored_files() == files_of_photographs(records)


def test_upload_waits_and_goes_on_when_the_store_is_gone_for_a_while(
    upload: Job, send: Callable[..., None], actor: Actor, records: Records, image_folder: Path
) -> None:
    send("a.jpg", seed=1)
    away = image_folder.rename(image_folder.with_name("away"))
    image_folder.write_bytes(b"no folder")
    with pytest.raises(UnavailableError):
        send("b.jpg", seed=2)
    assert count_photographs(job=upload).arrived == 1
    begin_upload(public_id=upload.public_id, actor=actor)

    assert not run_job(job_id=upload.id)
    assert records.one(Job).state is JobState.WAITING
    assert records.one(Job).note

    image_folder.unlink()
    away.rename(image_folder)
    run_job(job_id=upload.id)
    assert (records.one(Job).done, records.one(Job).failed) == (1, 2)


def test_photograph_is_named_when_the_store_has_lost_it(
    upload: Job, send: Callable[..., None], actor: Actor, records: Records
) -> None:
    send("a.jpg", seed=1)
    (key,) = stored_files()
    image_storage.store.delete(key=key)
    assert [fault.key for fault in find_storage_faults(store=image_storage.store)] == [key]
    begin_upload(public_id=upload.public_id, actor=actor)

    run_job(job_id=upload.id)

    assert {one.row: one.problem for one in list_failures(job=records.one(Job))}[2] == GONE
    assert records.one(Job).state is JobState.DONE


def test_nothing_stays_when_an_upload_is_cancelled(
    upload: Job, send: Callable[..., None], actor: Actor, records: Records
) -> None:
    send("a.jpg", seed=1)

    cancel_job(public_id=upload.public_id, actor=actor)
    assert records.count(StagedPhotograph) == 0
    run_job(job_id=upload.id)  # whoever is woken up removes the files

    assert stored_files() == set()
    with pytest.raises(InvalidInputError):
        send("b.jpg", seed=2)
    assert stored_files() == set()


def test_upload_is_cancelled_when_it_was_forgotten_and_not_before(
    upload: Job, send: Callable[..., None], records: Records
) -> None:
    send("a.jpg", seed=1)
    records.change(StagedPhotograph, changed_at=utc_now() - KEPT - timedelta(hours=1))
    send("b.jpg", seed=2)
    tidy_uploads(store=image_storage.store)
    assert records.one(Job).state is JobState.COLLECTING

    records.change(StagedPhotograph, changed_at=utc_now() - KEPT - timedelta(hours=1))
    tidy_uploads(store=image_storage.store)

    assert (records.one(Job).state, records.one(Job).note) == (JobState.CANCELLED, FORGOTTEN)
    assert records.count(StagedPhotograph) == 0
    assert stored_files() == set()
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.JOB_CANCELLED) == 1


def test_rows_that_were_set_aside_are_kept_no_longer_when_they_are_old(
    upload: Job, send: Callable[..., None], actor: Actor, records: Records
) -> None:
    send("a.jpg", seed=1)
    begin_upload(public_id=upload.public_id, actor=actor)
    run_job(job_id=upload.id)
    assert records.count(StagedPhotograph) == 2
    records.change(Job, ended_at=utc_now() - KEPT - timedelta(hours=1))

    tidy_uploads(store=image_storage.store)

    assert records.count(StagedPhotograph) == 0
    assert records.one(Job).failed == 2


def test_nothing_stays_of_a_patient_when_erased_while_an_upload_waits(
    patient: Patient, clinic: Clinic, send: Callable[..., None], upload: Job, records: Records
) -> None:
    admin = actor_of(UserFactory(clinic=clinic, role=Role.ADMIN))
    send("a.jpg", seed=1)
    end_app_transaction()

    erase_patient(
        public_id=patient.public_id, mrn=patient.mrn, reason="By law", law_lets_it_go=True, actor=admin
    )

    assert records.count(StagedPhotograph) == records.count(JobItem) == 0
    assert stored_files() == set()
    tidy_uploads(store=image_storage.store)
    assert records.one(Job).state is JobState.CANCELLED


class TestWhoMay:
    def test_upload_is_seen_by_its_maker_and_administrators_alone(
        self, upload: Job, clinic: Clinic, actor: Actor
    ) -> None:
        admin, nurse, analyst = (
            actor_of(UserFactory(clinic=clinic, role=role)) for role in (Role.ADMIN, Role.NURSE, Role.ANALYST)
        )
        stranger = actor_of(UserFactory(role=Role.ADMIN))
        end_app_transaction()

        for one in (actor, admin):
            assert find_job(public_id=upload.public_id, actor=one).id == upload.id
            assert [job.id for job in list_jobs(actor=one)] == [upload.id]
        for one in (nurse, analyst):
            with pytest.raises(NotPermittedError):
                find_job(public_id=upload.public_id, actor=one)
        assert list_jobs(actor=nurse) == []
        with pytest.raises(NotPermittedError):
            list_jobs(actor=analyst)
        with pytest.raises(NotFoundError):
            find_job(public_id=upload.public_id, actor=stranger)
        with pytest.raises(NotPermittedError):
            stage_photograph(public_id=upload.public_id, name="a.jpg", content=draw_photograph(), actor=nurse)
