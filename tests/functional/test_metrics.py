"""`/metrics`, the line that each request leaves in the log, and the dashboard over both: numbers, and nobody's name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from config import PROJECT_ROOT
from melanoma_app.models import Clinic, User
from tests.api import send_image
from tests.browsing import Browser
from tests.databases import SECRET_KEY, find_free_port
from tests.factories import LesionFactory
from tests.records import Records
from tests.released import SERVED

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
TOKEN = "a-token-for-the-tests-0123456789abcdef"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(client: FlaskClient) -> Samples:
    response = client.get("/metrics")
    assert response.status_code == 200
    return samples_of(response.get_data(as_text=True))


def of(samples: Samples, name: str, **labels: str) -> float:
    """All samples of a name that have these labels, added up."""
    return sum(
        value
        for (one, said), value in samples.items()
        if one == name and labels.items() <= dict(said).items()
    )


def log_lines(text: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, text.splitlines()) if line["logger"] == "melanoma_app.request"]


def test_answer_is_counted_by_model_and_label_when_a_photograph_was_scored(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, photograph: bytes, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    answer = send_image(client, lesion.public_id, headers, photograph).json["prediction"]

    samples = read(client)

    model = SERVED.name
    assert of(samples, "clinic_predictions_total", model=model, label=answer["label"]) == 1
    assert of(samples, "clinic_malignancy_probability_sum", model=model) == pytest.approx(
        answer["malignancy_probability"]
    )
    assert of(samples, "clinic_scoring_seconds_count", model=model) == 1
    assert of(samples, "clinic_image_quality_count", measure="sharpness") == 1
    assert of(samples, "clinic_decodes_in_use") == 0
    assert of(samples, "clinic_database_connections", state="most") > 0
    asked = {"endpoint": "images.create_image", "method": "POST"}
    assert of(samples, "clinic_requests_total", status="201", **asked) == 1
    assert of(samples, "clinic_request_seconds_count", **asked) == 1


@on_sqlite
def test_reason_is_counted_when_a_photograph_is_refused(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, photograph: bytes, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    for content in (b"GIF89a", b"", photograph[:2000]):
        send_image(client, lesion.public_id, headers, content, is_new_shot=False)

    samples = read(client)

    assert of(samples, "clinic_uploads_refused_total", reason="unsupported_media_type") == 1
    assert of(samples, "clinic_uploads_refused_total") == 3
    assert of(samples, "clinic_predictions_total") == 0


@on_sqlite
def test_nothing_that_a_client_made_up_becomes_a_label_when_it_asks(client: FlaskClient) -> None:
    client.get("/patients/García-1962?search=García")
    client.open("/sign-in", method="GARCÍA".encode().decode("latin-1"))
    client.get("/models/garcia")

    text = client.get("/metrics").get_data(as_text=True)

    assert "garc" not in text.lower()
    assert of(samples_of(text), "clinic_requests_total", endpoint="none", status="404") == 1
    assert of(samples_of(text), "clinic_requests_total", method="other") == 1


@on_sqlite
@pytest.mark.parametrize(
    ("token", "address", "headers", "status"),
    [
        ("", "127.0.0.1", {}, 200),
        ("", "::1", {}, 200),
        ("", "192.0.2.7", {}, 404),
        (
            "",
            "127.0.0.1",
            {"X-Forwarded-For": "192.0.2.7"},
            404,
        ),  # a proxy that TRUSTED_PROXIES does not count
        ("", "192.0.2.7", {"Authorization": "Bearer "}, 404),
        (TOKEN, "127.0.0.1", {}, 404),
        (TOKEN, "192.0.2.7", {"Authorization": f"Bearer {TOKEN}"}, 200),
        (TOKEN, "192.0.2.7", {"Authorization": f"Bearer {TOKEN}x"}, 404),
        (TOKEN, "127.0.0.1", {"Authorization": "Basic eDp5"}, 404),
        (TOKEN, "127.0.0.1", {"Authorization": "Bearer ü"}, 404),
    ],
)
def test_numbers_are_given_to_whom_the_settings_say_when_asked(
    make_app: Callable[..., Flask], token: str, address: str, headers: dict[str, str], status: int
) -> None:
    client = make_app(METRICS_TOKEN=token).test_client()

    response = client.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": address})

    assert response.status_code == status


@on_sqlite
def test_line_tells_view_and_time_but_nobody_when_a_page_is_opened(
    browser: Browser, clinic: Clinic, user: User, capsys: pytest.CaptureFixture[str]
) -> None:
    lesion = LesionFactory(patient__clinic=clinic, patient__family_name="Quince")
    capsys.readouterr()

    response = browser.client.get(f"/patients/{lesion.patient.public_id}?search=Quince")

    text = capsys.readouterr().err
    (line,) = log_lines(text)
    assert line["request_id"] == response.headers["X-Request-Id"]
    said = {name: line[name] for name in ("method", "endpoint", "route", "status")}
    assert said == {
        "method": "GET",
        "endpoint": "intake.patient",
        "route": "/patients/<uuid:public_id>",
        "status": 200,
    }
    assert 0 < line["ms"] < 60_000
    for told in (str(lesion.patient.public_id), "Quince", user.username):
        assert told not in text


@on_sqlite
def test_machines_questions_leave_no_line_when_all_is_well(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.get("/health/live")
    client.get("/health/ready")
    client.get("/metrics")

    assert capsys.readouterr().err == ""


@on_sqlite
def test_every_metric_of_dashboard_and_alerts_is_given_out_when_asked(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, photograph: bytes, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    send_image(client, lesion.public_id, headers, photograph)
    send_image(client, lesion.public_id, headers, b"GIF89a", is_new_shot=False)
    given = {name for name, _ in read(client)}
    dashboard = json.loads((PROJECT_ROOT / "docs" / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = {one["expr"] for panel in dashboard["panels"] for one in panel.get("targets", ())}
    page = (PROJECT_ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bclinic_\w+", " ".join(asked) + page))

    assert len(asked) > 8
    assert named <= given | {name.removesuffix("_bucket") for name in given}


@on_sqlite
def test_numbers_of_all_processes_are_one_when_several_serve(tmp_path: Path, database_url: str) -> None:
    """And nothing of it lies on a disk, which may be full: the kernel kills who writes there."""
    port = find_free_port()
    variables = {
        "DATABASE_URL": database_url,
        "INSTANCE_FOLDER": str(tmp_path),
        "SECRET_KEY": SECRET_KEY,
        "DEMO": "0",
        "PORT": str(port),
        "WEB_PROCESSES": "2",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "flask", "serve"],
        cwd=PROJECT_ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            for _ in range(12):
                _fetch(port, "/health/live")
            deadline = time.monotonic() + 5
            counted = 0.0
            while counted != 12 and time.monotonic() < deadline:
                counted = of(
                    samples_of(_fetch(port, "/metrics")), "clinic_requests_total", endpoint="health.live"
                )
            files = [path for path in tmp_path.rglob("*.db") if path.name.startswith("counter_")]
        finally:
            server.terminate()
            server.wait(timeout=30)

    assert counted == 12
    assert files == []


def _fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        text: str = response.read().decode()
        return text
