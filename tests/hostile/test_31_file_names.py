"""Hostile list 31: file names `../../x`, absolute, NUL, 300 characters, right-to-left: no path, and never shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, Clinic, LesionImage
from tests.api import send_image
from tests.browsing import Browser
from tests.factories import LesionFactory
from tests.records import Records

NAMES = {
    "parent folders": "../../jane.jpg",
    "absolute": "/etc/cron.d/jane",
    "Windows folders": "..\\..\\jane.jpg",
    "drive": "C:\\jane.jpg",
    "NUL": "jane\0.php.jpg",
    "long": "jane" * 75 + ".jpg",
    "right to left": "jane\u202egpj.exe",
    "device": "CON.jane.jpg",
    "markup": "<img src=x onerror=alert('jane')>.jpg",
    "template": "{{7*7}}jane.jpg",
    "dots": "....jane....",
    "two files in one": 'jane.jpg"; filename="jane.php',
}
SERVERS_NAME = re.compile(r"[0-9a-f]{64}-[0-9a-f]{32}\.jpg")


@pytest.mark.parametrize("kind", NAMES)
def test_server_names_the_file_itself_when_it_is_sent_under_any_name(
    client: FlaskClient,
    headers: dict[str, str],
    clinic: Clinic,
    records: Records,
    photograph: bytes,
    tmp_path: Path,
    kind: str,
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)

    answer = send_image(client, lesion.public_id, headers, photograph, file_name=NAMES[kind])

    assert answer.status_code == 201
    assert "jane" not in answer.get_data(as_text=True)
    assert all(SERVERS_NAME.fullmatch(file.name) for file in records.files())
    assert not [path for path in tmp_path.rglob("*") if "jane" in path.name]
    assert not list(Path("/etc/cron.d").glob("jane*"))
    kept = repr([vars(row) for model in (LesionImage, AuditEvent) for row in records.all(model)])
    assert "jane" not in kept


@pytest.mark.parametrize("kind", NAMES)
def test_refusal_does_not_repeat_the_name_when_the_file_is_no_photograph(
    browser: Browser, clinic: Clinic, kind: str
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)

    page = browser.fill_in(f"/lesions/{lesion.public_id}/images/new", image=(b"no photograph", NAMES[kind]))

    assert page.status == 415
    assert "jane" not in page.response.get_data(as_text=True)
