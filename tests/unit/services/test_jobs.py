"""Jobs: every item is done once, whoever dies, and what cannot be done is named."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask

from melanoma_app.errors import ConflictError, NotFoundError, NotPermittedError
from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, Clinic, Job, JobItem, LesionImage, ModelVersion, Prediction
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, ImageType, JobItemState, JobKind, JobState, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import verify_chains
from melanoma_app.services.count_check import verify_statistics
from melanoma_app.services.erasure import erase_patient
from melanoma_app.services.examinations import record_examination, score_image
from melanoma_app.services.image_import_jobs import start_image_import
from melanoma_app.services.job_items import DIED, ITEMS_A_BATCH, LEASE, claim_items, release_items
from melanoma_app.services.job_runs import run_job
from melanoma_app.services.jobs import cancel_job, find_job, list_failures, retry_job
from melanoma_app.services.model_activation import activate_model
from melanoma_app.services.rescoring import NO_CONSENT, SWITCHED, count_unscored, start_rescoring
from tests.factories import JobFactory, JobItemFactory, LesionFactory, UserFactory, actor_of
from tests.photographs import draw_photograph
from tests.records import Records, end_app_transaction
from tests.released import OTHER, SERVED, flip_a_bit


@pytest.fixture
def environment(environment: dict[str, str], shelf: Path) -> dict[str, str]:
    """An app with two released models, of which the older serves by default."""
    return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}


@pytest.fixture
def admin(clinic: Clinic) -> Actor:
    return actor_of(UserFactory(clinic=clinic, role=Role.ADMIN))


@pytest.fixture
def job(admin: Actor) -> Job:
    """A job with items that stand for nothing."""
    made = JobFactory(clinic_id=admin.clinic_id, made_by_id=admin.user.id, total=ITEMS_A_BATCH + 4)
    for number in range(made.total):
        JobItemFactory(job_id=made.id, subject_id=number + 1)
    return made


class TestLeases:
    def test_each_item_is_claimed_once_when_several_workers_claim_at_once(
        self, app: Flask, job: Job, records: Records
    ) -> None:
        workers = 4
        barrier = Barrier(workers)

        def claim(number: int) -> list[int]:
            with app.app_context():
                barrier.wait(timeout=10)
                mine: list[int] = []
                while items := claim_items(job_id=job.id, holder=f"worker {number}").items:
                    mine.extend(items)
                return mine

        with ThreadPoolExecutor(workers) as pool:
            claimed = [item for mine in pool.map(claim, range(workers)) for item in mine]

        assert sorted(claimed) == sorted(item.id for item in records.all(JobItem))
        assert {item.attempts for item in records.all(JobItem)} == {1}

    @pytest.mark.usefixtures("context")
    def test_items_of_a_dead_worker_are_taken_over_one_by_one_when_its_lease_runs_out(
        self, job: Job, records: Records
    ) -> None:
        held = claim_items(job_id=job.id, holder="dead").items
        rest = claim_items(job_id=job.id, holder="alive").items
        assert not claim_items(job_id=job.id, holder="alive").items

        records.change(JobItem, JobItem.lease_holder == "dead", lease_until=utc_now() - LEASE)
        again = claim_items(job_id=job.id, holder="alive")

        assert len(held) == ITEMS_A_BATCH
        assert len(again.items) == 1
        assert set(again.items) <= set(held)
        assert not set(again.items) & set(rest)

    @pytest.mark.usefixtures("context")
    def test_item_is_set_aside_alone_and_named_when_its_worker_died_twice(
        self, job: Job, records: Records
    ) -> None:
        claim_items(job_id=job.id, holder="dead")
        records.change(JobItem, JobItem.lease_holder == "dead", lease_until=utc_now() - LEASE)
        claim_items(job_id=job.id, holder="next")
        (taken,) = claim_items(job_id=job.id, holder="dead again").items
        records.change(JobItem, JobItem.id == taken, lease_until=utc_now() - timedelta(seconds=1))

        claim_items(job_id=job.id, holder="last")

        failed = records.one(JobItem, JobItem.state == JobItemState.FAILED)
        assert (failed.id, failed.note) == (taken, DIED)
        assert records.one(Job).failed == 1
        assert [one.problem for one in list_failures(job=records.one(Job))] == [DIED]

    @pytest.mark.usefixtures("context")
    def test_items_are_as_good_as_new_when_they_are_given_back(self, job: Job, records: Records) -> None:
        claim_items(job_id=job.id, holder="stopped")

        release_items(job_id=job.id, holder="stopped")

        assert {(item.attempts, item.lease_holder) for item in records.all(JobItem)} == {(0, None)}


@pytest.mark.usefixtures("context")
class TestRescoring:
    @pytest.fixture
    def images(self, clinic: Clinic, actor: Actor) -> list[LesionImage]:
        """Three photographs of three patients, scored by the model that serves."""
        taken = []
        for seed in range(3):
            lesion = LesionFactory(patient__clinic=clinic)
            end_app_transaction()
            taken.append(
                record_examination(
                    lesion_public_id=lesion.public_id,
                    upload=draw_photograph(seed=seed),
                    image_type=ImageType.DERMOSCOPIC,
                    actor=actor,
                ).image
            )
        return taken

    @pytest.fixture
    def switched(self, images: list[LesionImage], admin: Actor, recount: Callable[[], None]) -> None:
        activate_model(identifier=OTHER, reason="Better", actor=admin)
        recount()

    def count_by_model(self, records: Records, version: str) -> list[int]:
        (model,) = records.all(ModelVersion, ModelVersion.version == version)
        of_model = records.all(Prediction, Prediction.model_version_id == model.id)
        return sorted(one.lesion_image_id for one in of_model)

    def test_every_photograph_has_one_answer_of_the_new_model_when_the_job_is_run_twice(
        self, switched: None, images: list[LesionImage], admin: Actor, records: Records
    ) -> None:
        assert count_unscored(actor=admin) == 3
        job = start_rescoring(actor=admin, model=OTHER)

        assert run_job(job_id=job.id)
        assert run_job(job_id=job.id)

        assert self.count_by_model(records, OTHER.rpartition("-")[2]) == sorted(one.id for one in images)
        ended = records.one(Job)
        assert (ended.state, ended.total, ended.done, ended.failed) == (JobState.DONE, 3, 3, 0)
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.IMAGE_SCORED) == 3
        assert list(verify_statistics()) == []
        assert list(verify_chains()) == []
        assert count_unscored(actor=admin) == 0
        with pytest.raises(ConflictError, match="has scored every photograph"):
            start_rescoring(actor=admin)

    def test_photograph_is_not_scored_again_when_a_person_was_faster(
        self, switched: None, images: list[LesionImage], admin: Actor, records: Records
    ) -> None:
        job = start_rescoring(actor=admin)
        score_image(image_public_id=images[0].public_id, actor=admin)

        run_job(job_id=job.id)

        assert self.count_by_model(records, OTHER.rpartition("-")[2]) == sorted(one.id for one in images)

    def test_poisoned_photograph_is_named_and_stops_no_other_when_its_file_is_damaged(
        self, switched: None, images: list[LesionImage], admin: Actor, records: Records
    ) -> None:
        file = records.stored(images[1].storage_key)
        whole = file.read_bytes()
        flip_a_bit(file)
        job = start_rescoring(actor=admin)

        run_job(job_id=job.id)

        ended = records.one(Job)
        assert (ended.state, ended.done, ended.failed) == (JobState.DONE, 2, 1)
        (failure,) = list_failures(job=ended)
        assert failure.image_public_id == images[1].public_id
        assert "damaged" in failure.problem

        file.write_bytes(whole)
        retry_job(public_id=job.public_id, actor=admin)
        run_job(job_id=job.id)

        assert records.one(Job).done == 3
        assert len(self.count_by_model(records, OTHER.rpartition("-")[2])) == 3

    def test_photograph_is_passed_over_when_the_consent_is_taken_back_meanwhile(
        self, switched: None, images: list[LesionImage], admin: Actor, records: Records
    ) -> None:
        job = start_rescoring(actor=admin)
        records.execute(
            "UPDATE patient SET consent_to_ai_analysis = 0 WHERE id = :id", id=images[0].lesion.patient_id
        )

        run_job(job_id=job.id)

        assert records.one(JobItem, JobItem.subject_id == images[0].id).note == NO_CONSENT
        assert len(self.count_by_model(records, OTHER.rpartition("-")[2])) == 2

    def test_nothing_is_left_of_a_patient_in_the_job_when_erased_meanwhile(
        self, switched: None, images: list[LesionImage], admin: Actor, records: Records
    ) -> None:
        job = start_rescoring(actor=admin)
        patient = images[0].lesion.patient
        end_app_transaction()
        erase_patient(
            public_id=patient.public_id, mrn=patient.mrn, reason="By law", law_lets_it_go=True, actor=admin
        )

        run_job(job_id=job.id)

        assert records.count(JobItem, JobItem.subject_id == images[0].id) == 0
        ended = records.one(Job)
        assert (ended.state, ended.total, ended.done) == (JobState.DONE, 2, 2)

    def test_job_stops_when_another_model_is_activated_meanwhile(
        self, switched: None, images: list[LesionImage], admin: Actor, records: Records
    ) -> None:
        job = start_rescoring(actor=admin)
        activate_model(identifier=SERVED.name, reason="Back", actor=admin)

        assert run_job(job_id=job.id)

        ended = records.one(Job)
        assert (ended.state, ended.note, ended.done) == (JobState.FAILED, SWITCHED, 0)

    def test_job_waits_and_goes_on_when_the_store_cannot_be_read_for_a_while(
        self, switched: None, images: list[LesionImage], admin: Actor, records: Records, image_folder: Path
    ) -> None:
        job = start_rescoring(actor=admin)
        away = image_folder.rename(image_folder.with_name("away"))
        image_folder.write_bytes(b"no folder")

        assert not run_job(job_id=job.id)
        waiting = records.one(Job)
        assert (waiting.state, waiting.failed) == (JobState.WAITING, 0)
        assert waiting.note

        image_folder.unlink()
        away.rename(image_folder)
        assert run_job(job_id=job.id)
        assert records.one(Job).done == 3

    def test_one_is_begun_when_two_are_asked_for(
        self, switched: None, admin: Actor, records: Records
    ) -> None:
        start_rescoring(actor=admin)

        with pytest.raises(ConflictError, match="already"):
            start_rescoring(actor=admin)
        assert records.count(Job) == 1

    def test_nothing_more_is_scored_when_the_job_was_cancelled(
        self, switched: None, admin: Actor, records: Records
    ) -> None:
        job = start_rescoring(actor=admin)
        cancel_job(public_id=job.public_id, actor=admin)

        assert run_job(job_id=job.id)

        assert self.count_by_model(records, OTHER.rpartition("-")[2]) == []
        with pytest.raises(ConflictError):
            cancel_job(public_id=job.public_id, actor=admin)

    def test_refused_when_no_administrator_asks(self, actor: Actor) -> None:
        with pytest.raises(NotPermittedError):
            start_rescoring(actor=actor)


@pytest.mark.usefixtures("context")
def test_job_is_not_there_when_another_clinic_asks(job: Job) -> None:
    stranger = actor_of(UserFactory(role=Role.ADMIN))
    end_app_transaction()

    with pytest.raises(NotFoundError):
        find_job(public_id=job.public_id, actor=stranger)


@pytest.mark.usefixtures("context")
def test_photographs_are_taken_in_once_and_bad_rows_named_when_an_import_is_a_job(
    clinic: Clinic, actor: Actor, records: Records, tmp_path: Path
) -> None:
    patient = LesionFactory(patient__clinic=clinic).patient
    folder = tmp_path / "photographs"
    folder.mkdir()
    lines = ["image,mrn,anatom_site_general,captured_on"]
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(draw_photograph(seed=number))
        lines.append(f"{number}.jpg,{patient.mrn},head/neck,2024-03-01")
    lines.append(f"missing.jpg,{patient.mrn},head/neck,2024-03-01")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(lines), encoding="utf-8")
    end_app_transaction()

    job = start_image_import(manifest=manifest, folder=folder, actor=actor)
    # A worker that died after the photographs were taken in, and before it could say so.
    run_job(job_id=job.id)
    records.change(JobItem, JobItem.state == JobItemState.DONE, state=JobItemState.WAITING, attempts=0)
    records.change(Job, state=JobState.RUNNING, done=0)
    run_job(job_id=job.id)

    assert records.count(LesionImage) == 3
    ended = records.one(Job)
    assert (ended.kind, ended.state) == (JobKind.IMPORT_IMAGES, JobState.DONE)
    assert (ended.total, ended.done, ended.failed) == (4, 3, 1)
    (failure,) = list_failures(job=ended)
    assert failure.row == 5
    assert "no such file" in failure.problem


@pytest.mark.usefixtures("context")
def test_import_stops_when_its_manifest_has_changed(
    clinic: Clinic, actor: Actor, records: Records, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("image,mrn,anatom_site_general\na.jpg,1,head/neck\n", encoding="utf-8")
    end_app_transaction()
    job = start_image_import(manifest=manifest, folder=tmp_path, actor=actor)
    manifest.write_text("image,mrn,anatom_site_general\nb.jpg,2,head/neck\n", encoding="utf-8")

    run_job(job_id=job.id)

    assert records.one(Job).state is JobState.FAILED
    assert "has changed" in records.one(Job).note
    db.session.rollback()
