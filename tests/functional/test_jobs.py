"""The pages and commands of jobs: begun on the model's page, watched, cancelled, and what failed named."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from flask import Flask

from melanoma_app.models import Clinic, Job, Lesion, LesionImage, Prediction, User
from melanoma_app.models.vocabulary import JobState, Role
from melanoma_app.services.job_runs import run_job
from tests.api import send_image
from tests.browsing import Browser
from tests.factories import LesionFactory, UserFactory
from tests.records import Records
from tests.released import OTHER, SERVED, flip_a_bit


@pytest.fixture
def environment(environment: dict[str, str], shelf: Path) -> dict[str, str]:
    """An app with two released models, and a Redis that does not answer."""
    return environment | {
        "MODEL_FOLDER": str(shelf),
        "MODEL_NAME": SERVED.name,
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }


@pytest.fixture
def admin(clinic: Clinic, records: Records) -> User:
    return UserFactory(clinic=clinic, role=Role.ADMIN)


@pytest.fixture
def page(
    app: Flask,
    admin: User,
    clinic: Clinic,
    headers: dict[str, str],
    sign_in: Callable[[User], Browser],
    photograph: bytes,
) -> Browser:
    """An administrator's browser; two photographs were scored before the model was switched."""
    for _ in range(2):
        lesion: Lesion = LesionFactory(patient__clinic=clinic, number=3)
        send_image(app.test_client(), lesion.public_id, headers, photograph)
    browser = sign_in(admin)
    switch = browser.open(f"/models/{OTHER}")
    browser.send(switch.form(action=f"/models/{OTHER}"), switch, reason="Better")
    return browser


def test_photographs_are_rescored_and_the_poisoned_one_named_when_the_button_is_used(
    app: Flask, page: Browser, records: Records
) -> None:
    bad = records.all(LesionImage)[0]
    flip_a_bit(records.stored(bad.storage_key))
    model = page.open(f"/models/{OTHER}")
    assert f"Re-score all photographs with {OTHER} (2)" in " ".join(model.text.split())

    begun = page.send(model.form(action="/jobs"), model)

    assert "Redis does not answer at present, so the job waits" in begun.text
    job = records.one(Job)
    address = f"/jobs/{job.public_id}"
    told = page.client.get(f"{address}/progress").json
    assert (told["total"], told["done"], told["is_over"]) == (2, 0, False)

    with app.app_context():
        run_job(job_id=job.id)

    shown = page.open(address)
    assert "1 of 2 done, 1 set aside" in shown.text
    assert "Lesion 3" in shown.text
    assert f"/examinations/{bad.public_id}" in shown.links()
    assert page.client.get(f"{address}/progress").json["is_over"] is True
    assert records.count(Prediction) == 3
    assert "Re-scoring" in page.open("/jobs").text


def test_job_is_cancelled_and_taken_up_again_when_asked_for(page: Browser, records: Records) -> None:
    model = page.open(f"/models/{OTHER}")
    begun = page.send(model.form(action="/jobs"), model)
    address = f"/jobs/{records.one(Job).public_id}"

    cancelled = page.send(begun.form(action=f"{address}/cancel"), begun)
    assert records.one(Job).state is JobState.CANCELLED

    page.send(cancelled.form(action=f"{address}/retry"), cancelled)
    assert records.one(Job).state is JobState.WAITING


def test_nothing_is_there_when_the_job_is_another_clinics(
    page: Browser, sign_in: Callable[[User], Browser], records: Records
) -> None:
    model = page.open(f"/models/{OTHER}")
    page.send(model.form(action="/jobs"), model)
    stranger = sign_in(UserFactory(role=Role.ADMIN))
    address = f"/jobs/{records.one(Job).public_id}"

    assert stranger.client.get(address).status_code == HTTPStatus.NOT_FOUND
    assert stranger.client.get(f"{address}/progress").status_code == HTTPStatus.NOT_FOUND
    assert stranger.post(f"{address}/cancel").status_code == HTTPStatus.NOT_FOUND
    assert records.one(Job).state is JobState.WAITING


def test_job_is_worked_on_when_run_on_the_command_line(
    app: Flask, page: Browser, admin: User, records: Records
) -> None:
    runner = app.test_cli_runner()

    begun = runner.invoke(args=["jobs", "rescore", "--by", admin.username])
    assert begun.exit_code == 0, begun.output
    assert "the job waits" in begun.output
    done = runner.invoke(args=["jobs", "run"])

    assert done.exit_code == 0, done.output
    assert "2 of 2 done" in done.output
    assert "2 of 2 done" in runner.invoke(args=["jobs", "list"]).output
    assert records.count(Prediction) == 4


class TestWithoutRedis:
    @pytest.fixture
    def environment(self, environment: dict[str, str]) -> dict[str, str]:
        """No Redis: this process does the work, and need not know of Celery."""
        return environment | {"REDIS_URL": ""}

    def test_work_is_done_in_the_process_when_a_job_is_begun(
        self, app: Flask, page: Browser, records: Records
    ) -> None:
        app.config["JOBS_RUN_IN_PROCESS"] = True
        model = page.open(f"/models/{OTHER}")

        begun = page.send(model.form(action="/jobs"), model)

        assert "It goes on by itself" in begun.text
        thread = next((one for one in threading.enumerate() if one.name == "jobs"), None)
        if thread:
            thread.join(timeout=30)
        assert records.one(Job).state is JobState.DONE
        assert records.count(Prediction) == 4
