"""A part fails while people work: a clear answer, a log line, nothing acknowledged lost, and it recovers by itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus

import psutil
import pytest
import redis
from sqlalchemy import text

from melanoma_app.models import LesionImage, Patient, Prediction
from tests.cluster.conftest import USERNAME, Cluster
from tests.cluster.machines import Machine, flask, wait_until
from tests.cluster.sending import call_api, next_mrn, photograph
from tests.cluster.visitor import Visitor, text_of
from tests.released import SERVED, flip_a_bit

RECOVERY_S = 30
LEFT_OUT_S = 6
"""A little more than the proxy leaves a web server out for that did not answer (upstream.conf)."""


@contextmanager
def clinic_kept_waiting(cluster: Cluster) -> Iterator[None]:
    """Hold the lock that every writer of a clinic takes: an upload waits at it when its files are written."""
    with cluster.records.engine.connect() as connection, connection.begin():
        connection.execute(text("SELECT id FROM audit_chain FOR UPDATE"))
        yield


def find_waiting_web(cluster: Cluster) -> Machine | None:
    """The web server whose connection waits for that lock."""
    with cluster.records.engine.connect() as connection:
        hosts = connection.scalars(
            text(
                "SELECT p.host FROM information_schema.innodb_trx t "
                "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT'"
            )
        ).all()
    ports = {int(host.rpartition(":")[2]) for host in hosts}
    for web in cluster.webs:
        assert web.process is not None
        parent = psutil.Process(web.process.pid)
        for one in (parent, *parent.children(recursive=True)):
            if {connection.laddr.port for connection in one.net_connections("tcp")} & ports:
                return web
    return None


@pytest.mark.parametrize("killed", ["process", "machine"])
def test_photograph_is_taken_once_when_the_web_server_is_killed_in_the_upload(
    cluster: Cluster, nurse: Visitor, killed: str
) -> None:
    upload = nurse.add_lesion(nurse.register(next_mrn()))
    images, sent = cluster.records.count(LesionImage), photograph()
    found: list[Machine] = []

    def find() -> bool:
        found[:] = [web for web in [find_waiting_web(cluster)] if web]
        return bool(found)

    with ThreadPoolExecutor(1) as sender:
        with clinic_kept_waiting(cluster):
            sending = sender.submit(nurse.send, upload, image=sent)
            wait_until(find, what="the upload waits for the database")
            (process,) = processes_of(found[0])
            if killed == "machine":
                found[0].kill()
            else:
                os.kill(process, signal.SIGKILL)
        refusal = sending.result()
    try:
        assert refusal.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert refusal.headers["Retry-After"].isdigit()
        assert "look first whether it is on record" in text_of(refusal)
        assert cluster.records.count(LesionImage) == images

        again = nurse.send(upload, image=sent)  # whichever is there takes it
        assert again.status_code == HTTPStatus.OK, text_of(again)
        nurse.send(upload, image=sent)
        assert cluster.records.count(LesionImage) == images + 1
        for _ in range(6):
            assert nurse.open("/patients").status_code == HTTPStatus.OK
        if killed == "process":  # another takes its place by itself, and the log says so
            wait_until(lambda: set(processes_of(found[0])) - {process}, what="there is a new process")
            wait_until(
                lambda: f"(pid:{process}) was sent SIGKILL" in found[0].said(), what="the log tells of it"
            )
    finally:
        if killed == "machine":
            found[0].start()
    assert '"status":503' in cluster.proxy_log.read_text(encoding="utf-8")
    cluster.assert_whole()


def processes_of(web: Machine) -> list[int]:
    """Those that answer; the first one only watches over them."""
    assert web.process is not None
    return [one.pid for one in psutil.Process(web.process.pid).children()]


def test_people_sign_in_and_work_when_redis_is_gone(
    cluster: Cluster, make_visitor: Callable[..., Visitor], nurse: Visitor
) -> None:
    cluster.redis.kill()
    try:
        started = time.monotonic()
        assert (
            make_visitor().sign_in("nobody at all", "wrong password").status_code == HTTPStatus.UNAUTHORIZED
        )
        assert (
            make_visitor().sign_in("nobody at all", "wrong password").status_code == HTTPStatus.UNAUTHORIZED
        )
        visitor = make_visitor()
        assert visitor.sign_in(USERNAME).status_code == HTTPStatus.OK
        assert time.monotonic() - started < 15, "nobody waits long for what does not come"
        assert call_api(cluster, "wrong").status_code == HTTPStatus.UNAUTHORIZED
        result = nurse.send(nurse.add_lesion(nurse.register(next_mrn())), image=photograph())
        assert result.status_code == HTTPStatus.OK, text_of(result)
        assert "storage unreachable" in cluster.web_logs()
    finally:
        cluster.redis.start()

    # Each of both web servers looks for itself, after 1 to 32 s.
    wait_until(
        lambda: all(is_counted_in_redis(cluster, make_visitor()) for _ in range(4)),
        what="Redis is used again by both web servers",
        timeout_s=2 * RECOVERY_S,
    )
    assert make_visitor().sign_in(USERNAME).status_code == HTTPStatus.OK
    cluster.assert_whole()


def is_counted_in_redis(cluster: Cluster, visitor: Visitor) -> bool:
    """Whether an attempt to sign in is counted where every process sees it."""
    time.sleep(0.5)
    visitor.sign_in("nobody at all", "wrong password")
    with redis.Redis.from_url(cluster.environment["RATE_LIMIT_STORAGE_URL"]) as client:
        return any(visitor.source.encode() in key.split(b"/") for key in client.scan_iter())


def test_people_are_told_and_nothing_is_lost_when_the_database_is_killed(
    cluster: Cluster, nurse: Visitor, token: str
) -> None:
    mrn = next_mrn()
    patient = nurse.register(mrn)
    upload = nurse.add_lesion(patient)
    form = nurse.open("/patients/new")
    database = cluster.database.process
    cluster.records.engine.dispose()
    database.kill()
    database.wait()
    try:
        for page in (nurse.open("/patients"), nurse.open("/"), nurse.send(upload, image=photograph())):
            assert page.status_code == HTTPStatus.SERVICE_UNAVAILABLE
            assert page.headers["Retry-After"].isdigit()
            assert "database does not answer" in text_of(page)
            assert "nothing was saved" in text_of(page)
        lost = nurse.send(
            form, mrn="LOST", family_name="L", given_name="L", birth_date="1962-04-27", gender="female"
        )
        assert lost.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        answer = call_api(cluster, token)
        assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert answer.json()["error"]["code"] == "unavailable"
        for number in range(2):
            assert cluster.ask(number, "/health/live").status_code == HTTPStatus.OK
            assert cluster.ask(number, "/health/ready").status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert "the database failed" in cluster.web_logs()
    finally:
        cluster.database.start_again()

    wait_until(
        lambda: nurse.open("/patients").status_code == HTTPStatus.OK,
        what="the record is back",
        timeout_s=RECOVERY_S,
    )
    wait_until(cluster.is_ready, what="both say that they are ready", timeout_s=RECOVERY_S)
    assert nurse.open(patient.url).status_code == HTTPStatus.OK
    assert cluster.records.count(Patient, Patient.mrn == mrn) == 1
    assert cluster.records.count(Patient, Patient.mrn == "LOST") == 0
    result = nurse.send(upload, image=photograph())
    assert result.status_code == HTTPStatus.OK, text_of(result)
    cluster.assert_whole()


def test_schema_is_whole_when_two_migrations_run_at_once(cluster: Cluster) -> None:
    environment = cluster.environment | {"DATABASE_URL": cluster.database.create_database("twice")}

    with ThreadPoolExecutor(2) as engineers:
        done = list(engineers.map(lambda _: flask(environment, "db", "upgrade"), range(2)))

    assert [one.returncode for one in done] == [0, 0], done[0].stderr + done[1].stderr
    assert flask(environment, "db", "check").returncode == 0
    assert flask(environment, "audit", "verify").returncode == 0


def test_photograph_is_refused_and_the_model_named_when_its_file_is_damaged(
    cluster: Cluster, nurse: Visitor
) -> None:
    file = cluster.model_folder / SERVED.name / "model.onnx"
    whole = file.read_bytes()
    upload = nurse.add_lesion(nurse.register(next_mrn()))
    predictions, sent = cluster.records.count(Prediction), photograph()
    flip_a_bit(file)
    try:
        for web in cluster.webs:  # as after a night's restart
            web.start_again()
        assert all(
            SERVED.name in web.said() and "photographs will be refused" in web.said() for web in cluster.webs
        )
        refusal = nurse.send(upload, image=sent)
        assert refusal.status_code == HTTPStatus.SERVICE_UNAVAILABLE, text_of(refusal)
        assert refusal.headers["Retry-After"].isdigit()
        assert cluster.records.count(Prediction) == predictions
        assert nurse.open("/patients").status_code == HTTPStatus.OK
        for number in range(2):
            assert cluster.ask(number, "/health/ready").json()["checks"]["model"]["status"] == "failed"
    finally:
        file.write_bytes(whole)

    result = nurse.send(upload, image=sent)  # without a restart
    assert result.status_code == HTTPStatus.OK, text_of(result)
    cluster.assert_whole()


def test_answers_go_on_when_web_servers_are_restarted_one_after_the_other(
    cluster: Cluster, nurse: Visitor
) -> None:
    """An upgrade: everybody stays signed in, and nobody is turned away."""
    statuses: list[int] = []

    def exchange() -> None:
        for web in cluster.webs:
            web.start_again()
            time.sleep(LEFT_OUT_S)  # as docs/operations.md asks

    with ThreadPoolExecutor(1) as engineer:
        exchanging = engineer.submit(exchange)
        while not exchanging.done():
            statuses.append(nurse.open("/patients").status_code)
            time.sleep(0.05)
        exchanging.result()

    assert len(statuses) > 50
    assert set(statuses) == {HTTPStatus.OK}


def test_nothing_is_answered_but_in_plain_words_when_no_web_server_is_left(
    cluster: Cluster, nurse: Visitor, token: str
) -> None:
    for web in cluster.webs:
        web.kill()
    try:
        page, answer = nurse.open("/patients"), call_api(cluster, token)
        assert page.status_code == answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert page.headers["Retry-After"].isdigit()
        assert "does not answer" in text_of(page)
        assert answer.json()["error"].keys() == {"code", "message", "fields", "request_id"}
    finally:
        for web in cluster.webs:
            web.start()
    wait_until(
        lambda: nurse.open("/patients").status_code == HTTPStatus.OK,
        what="the record is back",
        timeout_s=RECOVERY_S,
    )
