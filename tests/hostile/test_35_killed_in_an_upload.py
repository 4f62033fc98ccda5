"""Hostile list 35: database killed in an upload, worker killed between file and commit: no orphan, one photograph."""

from __future__ import annotations

import http.client
import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, text
from werkzeug.datastructures import FileStorage

from melanoma_app.models import AuditEvent, Clinic, Lesion, LesionImage, Prediction
from melanoma_app.models.vocabulary import AuditAction
from tests.api import error_of, multipart, send_image
from tests.browser.conftest import Clinic as ServedClinic
from tests.examining import FILES_AN_IMAGE
from tests.factories import LesionFactory
from tests.hostile.wire import workers_of
from tests.photographs import draw_photograph
from tests.records import Records

WAIT_S = 30
LOOK_AGAIN_S = 0.15
"""InnoDB shows its transactions as they were until nobody has looked for a tenth of a second."""
ON_MARIADB = pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
"""A file has no server that could be killed, and its lock is taken before the photograph is decoded."""


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


@contextmanager
def clinic_kept_waiting(records: Records, lesion: Lesion) -> Iterator[Connection]:
    """Hold the lock that every writer of a clinic takes: an upload waits at it when its files are written."""
    with records.engine.connect() as connection, connection.begin():
        connection.execute(
            text(
                "SELECT audit_chain.id FROM audit_chain JOIN patient ON patient.clinic_id = audit_chain.clinic_id "
                "JOIN lesion ON lesion.patient_id = patient.id WHERE lesion.id = :lesion FOR UPDATE"
            ),
            {"lesion": lesion.id},
        )
        yield connection


def wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(LOOK_AGAIN_S)


def waiting_connections(records: Records) -> list[int]:
    with records.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
            )
        )
        return [row[0] for row in rows]


def assert_each_row_has_its_files(records: Records) -> None:
    for image in records.all(LesionImage):
        assert records.stored(image.storage_key).is_file()
        assert records.stored(str(image.thumbnail_key)).is_file()


@ON_MARIADB
def test_upload_leaves_nothing_and_is_taken_once_when_its_connection_is_killed(
    app: Flask, headers: dict[str, str], lesion: Lesion, records: Records
) -> None:
    app.testing = False

    def send() -> Future[object]:
        return sender.submit(
            send_image, app.test_client(), lesion.public_id, headers, draw_photograph(), is_new_shot=False
        )

    with ThreadPoolExecutor(1) as sender:
        with clinic_kept_waiting(records, lesion):
            sending = send()
            wait_until(lambda: len(records.files()) == FILES_AN_IMAGE and waiting_connections(records))
            with records.engine.connect() as connection:
                for number in waiting_connections(records):
                    connection.execute(text(f"KILL {number}"))
            refusal = error_of(sending.result(), HTTPStatus.SERVICE_UNAVAILABLE)

        assert "nothing was saved" in refusal["message"]
        assert records.files() == []
        assert records.count(LesionImage) == records.count(Prediction) == 0
        assert send().result().status_code == HTTPStatus.CREATED
    assert records.count(LesionImage) == 1
    assert len(records.files()) == FILES_AN_IMAGE


def send_to(served: ServedClinic, lesion: Lesion, headers: dict[str, str]) -> int:
    """The status of an upload to the real server; 0 when the connection breaks."""
    server = urlsplit(served.address)
    image = FileStorage(io.BytesIO(draw_photograph()), "photo.jpg")
    body, content_type = multipart({"image": image})
    connection = http.client.HTTPConnection(str(server.hostname), server.port, timeout=WAIT_S)
    address = f"/api/v1/lesions/{lesion.public_id}/images"
    try:
        connection.request("POST", address, body, headers | {"Content-Type": content_type})
        return connection.getresponse().status
    except (ConnectionError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


@ON_MARIADB
def test_no_row_is_left_and_a_retry_is_taken_once_when_the_worker_is_killed(
    served: ServedClinic, headers: dict[str, str], lesion: Lesion, records: Records
) -> None:
    (worker,) = workers_of(served.process_id)
    with ThreadPoolExecutor(1) as sender, clinic_kept_waiting(records, lesion):
        sending = sender.submit(send_to, served, lesion, headers)
        wait_until(lambda: len(records.files()) == FILES_AN_IMAGE and waiting_connections(records))
        os.kill(worker, signal.SIGKILL)
        assert sending.result() == 0

    assert records.count(LesionImage) == records.count(Prediction) == 0
    wait_until(lambda: worker not in workers_of(served.process_id) and workers_of(served.process_id))
    assert send_to(served, lesion, headers) == HTTPStatus.CREATED
    assert records.count(LesionImage) == records.count(Prediction) == 1
    assert_each_row_has_its_files(records)
    # What the dead one wrote is a file that no row names: `flask storage sweep` removes it.
    assert len(records.files()) == 2 * FILES_AN_IMAGE


def test_photograph_is_taken_once_when_the_same_file_is_sent_again(
    client: FlaskClient, headers: dict[str, str], lesion: Lesion, records: Records, photograph: bytes
) -> None:
    first, second = (
        send_image(client, lesion.public_id, headers, photograph, is_new_shot=False) for _ in range(2)
    )

    assert (first.status_code, second.status_code) == (HTTPStatus.CREATED,) * 2
    assert second.json["id"] == first.json["id"]
    assert second.json["prediction"] == first.json["prediction"]
    assert records.count(LesionImage) == records.count(Prediction) == 1
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.IMAGE_ADDED) == 1
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.PREDICTION_READ) == 1
    assert len(records.files()) == FILES_AN_IMAGE


def test_photograph_is_taken_once_when_the_same_file_is_sent_many_times_at_once(
    app: Flask, headers: dict[str, str], lesion: Lesion, records: Records, photograph: bytes
) -> None:
    with ThreadPoolExecutor(4) as senders:
        sending = [
            senders.submit(
                send_image, app.test_client(), lesion.public_id, headers, photograph, is_new_shot=False
            )
            for _ in range(4)
        ]
        answers = [one.result() for one in sending]

    assert {answer.status_code for answer in answers} == {HTTPStatus.CREATED}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert records.count(LesionImage) == records.count(Prediction) == 1
    assert len(records.files()) == FILES_AN_IMAGE


def test_same_file_is_not_taken_under_other_details_when_sent_again(
    client: FlaskClient, headers: dict[str, str], lesion: Lesion, records: Records, photograph: bytes
) -> None:
    send_image(client, lesion.public_id, headers, photograph, is_new_shot=False)

    answer = send_image(
        client, lesion.public_id, headers, photograph, is_new_shot=False, clin_size_long_diam_mm="7"
    )

    assert "on record" in error_of(answer, HTTPStatus.CONFLICT)["message"]
    assert records.count(LesionImage) == 1


def test_no_file_is_left_when_the_row_cannot_be_kept(
    client: FlaskClient,
    headers: dict[str, str],
    app: Flask,
    lesion: Lesion,
    records: Records,
    photograph: bytes,
    database_kind: str,
) -> None:
    app.testing = False
    refuse = {
        "sqlite": "CREATE TRIGGER refuse BEFORE INSERT ON prediction BEGIN SELECT RAISE(ABORT, 'refused'); END",
        "mariadb": "CREATE TRIGGER refuse BEFORE INSERT ON prediction FOR EACH ROW "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'",
    }[database_kind]
    records.execute(refuse)
    try:
        response = send_image(client, lesion.public_id, headers, photograph)
    finally:
        records.execute("DROP TRIGGER refuse")

    assert response.status_code >= 500
    error_of(response, HTTPStatus(response.status_code))
    assert records.files() == []
    assert records.count(LesionImage) == 0
