"""The main job through the proxy, over HTTPS, on two web servers that share everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from melanoma_app.models import LesionImage, Patient, Prediction
from tests.cluster.conftest import SIGN_INS_A_MINUTE, USERNAME, Cluster
from tests.cluster.visitor import Visitor, text_of
from tests.photographs import draw_photograph, shoot_again


def statistics(cluster: Cluster, token: str) -> dict[str, int]:
    """What the API counts, through the proxy."""
    answer = requests.get(
        f"{cluster.address}/api/v1/statistics/gender",
        headers={"Authorization": f"Bearer {token}"},
        verify=str(cluster.certificate),
        timeout=30,
    )
    assert answer.status_code == HTTPStatus.OK
    return {group["group"]: group["total"] for group in answer.json()["groups"]}


def test_main_job_is_done_when_it_goes_through_the_proxy(
    cluster: Cluster, nurse: Visitor, token: str
) -> None:
    counted = statistics(cluster, token)["female"]

    patient = nurse.register("MAIN-1")
    assert patient.status_code == HTTPStatus.OK
    upload = nurse.add_lesion(patient)
    result = nurse.send(upload, image=(shoot_again(draw_photograph()), "photo.jpg"))

    assert result.status_code == HTTPStatus.OK, text_of(result)
    assert urlsplit(result.url).path.startswith("/examinations/")
    stored = cluster.records.all(Prediction)[-1]
    assert f"{stored.malignancy_probability * 100:.1f} %" in text_of(result)
    assert urlsplit(result.url).path in nurse.open(urlsplit(patient.url).path).text
    assert statistics(cluster, token)["female"] == counted + 1
    cluster.assert_whole()


def test_session_is_good_at_every_web_server_when_opened_at_one(cluster: Cluster, nurse: Visitor) -> None:
    cookie = "; ".join(f"{one.name}={one.value}" for one in nurse.session.cookies)

    for number in range(2):
        answer = cluster.ask(number, "/", Cookie=cookie)
        assert answer.status_code == HTTPStatus.OK, number


def test_attempts_are_counted_together_when_they_reach_both_web_servers(
    cluster: Cluster, make_visitor: Callable[..., Visitor]
) -> None:
    visitor = make_visitor()
    statuses = [
        visitor.sign_in(f"nobody-{number}", "wrong password").status_code
        for number in range(SIGN_INS_A_MINUTE)
    ]
    refused = visitor.send(visitor.open("/sign-in"), "/sign-in", username=USERNAME, password="x")

    assert set(statuses) == {HTTPStatus.UNAUTHORIZED}
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS
    used = {
        line["upstream"]
        for line in map(json.loads, cluster.proxy_log.read_text(encoding="utf-8").splitlines())
        if line["path"] == "/sign-in" and line["client"] == visitor.source
    }
    assert len(used) == 2, "both web servers were asked"


def test_plain_http_leads_to_tls_when_a_page_is_opened(cluster: Cluster) -> None:
    opened = requests.get(f"{cluster.plain_address}/patients", allow_redirects=False, timeout=10)
    sent = requests.post(f"{cluster.plain_address}/sign-in", data={"password": "x"}, timeout=10)

    assert opened.status_code == HTTPStatus.MOVED_PERMANENTLY
    assert opened.headers["Location"] == "https://localhost/patients"
    assert sent.status_code == HTTPStatus.FORBIDDEN


def test_log_names_the_request_and_no_secret_when_read(
    cluster: Cluster, make_visitor: Callable[..., Visitor]
) -> None:
    visitor = make_visitor()
    page = visitor.open("/set-password/a-secret-of-a-link?and=more")
    visitor.session.get(f"{cluster.address}/sign-in?next=hidden-in-the-query", timeout=10)

    text = cluster.proxy_log.read_text(encoding="utf-8") + cluster.proxy.said()
    assert "a-secret-of-a-link" not in text
    assert "hidden-in-the-query" not in text
    assert '"path":"/set-password/…"' in text
    assert f'"request_id":"{page.headers["X-Request-Id"]}"' in text


def test_only_static_files_are_compressed_when_both_are_asked_for(
    cluster: Cluster, make_visitor: Callable[..., Visitor]
) -> None:
    visitor = make_visitor()

    assert "Content-Encoding" not in visitor.open("/sign-in").headers
    assert visitor.open("/static/css/base.css").headers["Content-Encoding"] == "gzip"
    assert visitor.open("/metrics").status_code == HTTPStatus.NOT_FOUND
    assert visitor.open("/health/ready").status_code == HTTPStatus.NOT_FOUND


def test_file_is_refused_in_words_when_it_is_too_large_for_the_proxy(
    cluster: Cluster, nurse: Visitor, token: str
) -> None:
    before = cluster.records.count(LesionImage)
    upload = nurse.add_lesion(nurse.register("LARGE-1"))

    page = nurse.send(upload, image=(b"\xff\xd8" + bytes(28_000_000), "photo.jpg"))

    assert page.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert "too large" in text_of(page)
    assert cluster.records.count(LesionImage) == before
    assert cluster.records.count(Patient, Patient.mrn == "LARGE-1") == 1
