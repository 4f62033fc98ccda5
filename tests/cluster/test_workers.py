"""Workers die while they score every photograph again, and Redis with them: nothing is lost, nothing done twice."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import requests
from flask import Flask

from melanoma_app.extensions import image_storage, job_queue
from melanoma_app.models import Clinic, FileToDelete, Job, JobItem, LesionImage, ModelVersion, Prediction
from melanoma_app.models.vocabulary import JobItemState, JobState, Role
from melanoma_app.services.audit import verify_chains
from melanoma_app.services.count_check import rebuild_statistics, verify_statistics
from melanoma_app.services.jobs import list_failures
from melanoma_app.services.model_activation import activate_model
from melanoma_app.services.rescoring import start_rescoring
from melanoma_app.services.upload_arrivals import stage_photograph
from melanoma_app.services.uploads import start_upload
from tests.cluster.machines import Machine, wait_until
from tests.databases import find_free_port
from tests.factories import (
    LesionFactory,
    LesionImageFactory,
    ModelVersionFactory,
    PatientFactory,
    PredictionFactory,
    UserFactory,
    actor_of,
)
from tests.photographs import draw_photograph
from tests.records import Records
from tests.released import OTHER, OTHER_VERSION, SERVED, flip_a_bit

pytestmark = pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
PHOTOGRAPHS = 160
FIRST_DEATH, SECOND_DEATH = 20, 70
"""After how many new answers a worker is killed."""
UPLOADED = 60


@pytest.fixture
def redis_port() -> int:
    return find_free_port()


@pytest.fixture
def environment(environment: dict[str, str], shelf: Path, redis_port: int) -> dict[str, str]:
    return environment | {
        "MODEL_FOLDER": str(shelf),
        "MODEL_NAME": SERVED.name,
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
    }


@pytest.fixture
def redis_server(tmp_path: Path, redis_port: int) -> Iterator[Machine]:
    """It keeps nothing: what was in it when it died is gone."""

    def answers() -> bool:
        try:
            return bool(redis.Redis(port=redis_port, socket_connect_timeout=1).ping())
        except redis.RedisError:
            return False

    command = [
        "redis-server",
        "--port",
        str(redis_port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(tmp_path),
    ]
    machine = Machine("redis", command, {}, tmp_path / "redis.log", answers)
    yield machine
    machine.stop()


@pytest.fixture
def metrics_ports() -> list[int]:
    return [find_free_port(), find_free_port()]


@pytest.fixture
def workers(environment: dict[str, str], tmp_path: Path, metrics_ports: list[int]) -> Iterator[list[Machine]]:
    """Two of them, not started yet."""
    made = []
    for number in range(2):
        log = tmp_path / f"worker{number}.log"
        command = [sys.executable, "-m", "celery", "--app", "melanoma_app.worker", "worker"]
        made.append(
            Machine(
                f"worker{number}",
                [*command, "--loglevel", "INFO", "--hostname", f"k{number}@%h"],
                environment
                | {
                    "PATH": "/usr/bin:/bin",
                    "FLASK_SKIP_DOTENV": "1",
                    "WORKER_METRICS_PORT": str(metrics_ports[number]),
                },
                log,
                lambda log=log: "[tasks]" in log.read_text(encoding="utf-8"),  # type: ignore[misc]
            )
        )
    yield made
    for machine in made:
        machine.stop()


@pytest.fixture
def images(app: Flask, clinic: Clinic, records: Records) -> list[LesionImage]:
    """Photographs with files, of several patients, that another model has scored."""
    content = draw_photograph()
    digest = hashlib.sha256(content).hexdigest()
    version = ModelVersionFactory()
    lesions = [LesionFactory(patient__clinic=clinic) for _ in range(8)]
    user = UserFactory(clinic=clinic)
    made = []
    for number in range(PHOTOGRAPHS):
        image = LesionImageFactory(lesion=lesions[number % len(lesions)], sha256=digest, created_by=user)
        PredictionFactory(lesion_image=image, model_version=version, created_by=user)
        made.append(image)
    with app.app_context():
        for image in made:
            image_storage.store.save(content, key=image.storage_key)
        rebuild_statistics()
    return made


def test_every_photograph_is_scored_once_when_workers_and_redis_are_killed_meanwhile(
    app: Flask,
    clinic: Clinic,
    images: list[LesionImage],
    workers: list[Machine],
    redis_server: Machine,
    metrics_ports: list[int],
    records: Records,
) -> None:
    poisoned = images[PHOTOGRAPHS // 2]
    flip_a_bit(records.stored(poisoned.storage_key))
    first, second = workers
    admin = UserFactory(clinic=clinic, role=Role.ADMIN)

    def count_new() -> int:
        return records.count(Prediction) - PHOTOGRAPHS

    def is_after(number: int) -> Callable[[], bool]:
        return lambda: count_new() >= number

    # Redis is gone when the job is begun: it waits.
    with app.app_context():
        activate_model(identifier=OTHER, reason="Better", actor=actor_of(admin))
        job = start_rescoring(actor=actor_of(admin))
        assert job_queue.wake(job.id) is False
    redis_server.start()
    first.start()
    wait_until(is_after(FIRST_DEATH), what="a worker finds the job by itself")
    first.kill()
    held = records.count(JobItem, JobItem.lease_holder.is_not(None), JobItem.state == JobItemState.WAITING)
    assert 0 < count_new() < PHOTOGRAPHS

    second.start()
    wait_until(is_after(SECOND_DEATH), what="another worker goes on")
    redis_server.kill()
    second.kill()
    assert records.one(Job).state is JobState.RUNNING

    redis_server.start()
    first.start()
    second.start()
    wait_until(lambda: records.one(Job).is_over, what="the job is done", timeout_s=180)

    ended = records.one(Job)
    assert (ended.state, ended.done, ended.failed) == (JobState.DONE, PHOTOGRAPHS - 1, 1)
    (model,) = records.all(ModelVersion, ModelVersion.version == OTHER_VERSION)
    scored = Counter(
        one.lesion_image_id for one in records.all(Prediction, Prediction.model_version_id == model.id)
    )
    assert set(scored.values()) == {1}
    assert set(scored) == {image.id for image in images} - {poisoned.id}
    told = [requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text for port in metrics_ports]
    assert any(f'clinic_predictions_total{{label="benign",model="{OTHER}"}}' in text for text in told)
    print(f"{held} items were held by the worker that died first")
    with app.app_context():
        (failure,) = list_failures(job=records.one(Job))
        assert failure.image_public_id == poisoned.public_id
        assert "damaged" in failure.problem
        assert list(verify_statistics()) == []
        assert list(verify_chains()) == []


def test_every_photograph_is_taken_in_once_when_workers_are_killed_in_a_bulk_upload(
    app: Flask, clinic: Clinic, workers: list[Machine], redis_server: Machine, records: Records
) -> None:
    first, second = workers
    redis_server.start()
    patients = [PatientFactory(clinic=clinic, consent_to_ai_analysis=True) for _ in range(4)]
    nurse = actor_of(UserFactory(clinic=clinic, role=Role.NURSE))
    photographs = {f"{number}.jpg": draw_photograph(seed=number) for number in range(UPLOADED)}
    poisoned = f"{UPLOADED // 2}.jpg"
    photographs[poisoned] = photographs[poisoned][:-2000]
    rows = [
        f"{name},{patients[number % 4].mrn},head/neck,2024-03-01" for number, name in enumerate(photographs)
    ]
    manifest = "\n".join(["image,mrn,anatom_site_general,captured_on", *rows]).encode()
    with app.app_context():
        job = start_upload(manifest=manifest, actor=nurse)
        for name, content in photographs.items():
            stage_photograph(public_id=job.public_id, name=name, content=content, actor=nurse)

    for machine, deaths_at in ((first, 8), (second, UPLOADED // 2)):
        machine.start()
        wait_until(lambda wanted=deaths_at: records.count(LesionImage) >= wanted, what="a worker goes on")  # type: ignore[misc]
        machine.kill()
    assert records.one(Job).state is JobState.RUNNING
    first.start()
    second.start()
    wait_until(lambda: records.one(Job).is_over, what="the upload is done", timeout_s=180)

    ended = records.one(Job)
    assert (ended.state, ended.done, ended.failed) == (JobState.DONE, UPLOADED - 1, 1)
    wanted = {
        hashlib.sha256(content).hexdigest() for name, content in photographs.items() if name != poisoned
    }
    images = records.all(LesionImage)
    assert Counter(image.upload_sha256 for image in images) == Counter(wanted)
    assert Counter(one.lesion_image_id for one in records.all(Prediction)) == Counter(
        one.id for one in images
    )
    wait_until(lambda: not records.count(FileToDelete), what="what was sent is removed")
    on_record = {str(key) for image in images for key in (image.storage_key, image.thumbnail_key)}
    with app.app_context():
        (failure,) = list_failures(job=records.one(Job))
        assert failure.row == UPLOADED // 2 + 2
        assert not [key for key in on_record if not records.stored(key).is_file()]
        left = {file.key for file in image_storage.store.list_files()} - on_record
        assert not [key for key in left if key.endswith(".upload")]
        assert list(verify_statistics()) == []
        assert list(verify_chains()) == []
