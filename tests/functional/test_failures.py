"""A part fails: the database, the model, the disk. The person is told, nothing is half kept, the rest works."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from melanoma_app.models import AuditEvent, Clinic, Lesion, LesionImage, Prediction
from melanoma_app.models.vocabulary import AuditAction
from tests.api import error_of, send_image
from tests.browsing import Browser
from tests.databases import find_free_port
from tests.examining import FILES_AN_IMAGE
from tests.factories import PASSWORD, LesionFactory
from tests.records import Records
from tests.released import SERVED, flip_a_bit


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


class TestDatabaseGone:
    @pytest.fixture
    def client(self, make_app: Callable[..., Flask]) -> FlaskClient:
        """An app whose database server is not there."""
        app = make_app(DATABASE_URL=f"mysql+pymysql://clinic:hunter2@127.0.0.1:{find_free_port()}/clinic")
        app.testing = False  # as when it serves
        return app.test_client()

    @pytest.fixture
    def database_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'unused.sqlite3'}"

    def test_api_says_so_when_called(self, client: FlaskClient) -> None:
        response = client.get("/api/v1/patients", headers={"Authorization": "Bearer x"})

        error_of(response, HTTPStatus.SERVICE_UNAVAILABLE)
        assert response.headers["Retry-After"].isdigit()
        assert not {"Traceback", "pymysql", "hunter2"} & set(response.get_data(as_text=True).split())

    def test_page_says_so_when_somebody_signs_in(self, client: FlaskClient) -> None:
        browser = Browser(client)

        page = browser.sign_in("ada", PASSWORD)

        assert page.status == 503
        assert "database does not answer" in page.text
        assert "hunter2" not in page.response.get_data(as_text=True)

    def test_page_says_so_when_a_session_is_there(self, client: FlaskClient) -> None:
        with client.session_transaction() as session:
            session["_user_id"] = "5d0f7f0e-6c5b-4d5f-9a62-0f5a4a1f0c11"

        page = Browser(client).open("/")

        assert page.status == 503
        assert "Traceback" not in page.text


@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)  # a file drops nobody
def test_requests_go_on_when_the_server_has_dropped_the_connections(
    client: FlaskClient, headers: dict[str, str], records: Records
) -> None:
    assert client.get("/api/v1/patients", headers=headers).status_code == 200
    with records.engine.connect() as connection:
        own = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
        others = [
            row[0] for row in connection.exec_driver_sql("SHOW PROCESSLIST") if row[0] != own and row[3]
        ]
        for number in others:
            connection.exec_driver_sql(f"KILL {number}")

    assert others
    assert client.get("/api/v1/patients", headers=headers).status_code == 200


class TestModelBroken:
    @pytest.fixture
    def environment(self, environment: dict[str, str], shelf: Path) -> dict[str, str]:
        """A released model with one bit flipped."""
        flip_a_bit(shelf / SERVED.name / "model.onnx")
        return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}

    def test_upload_is_refused_whole_when_sent_over_rest(
        self,
        client: FlaskClient,
        headers: dict[str, str],
        lesion: Lesion,
        records: Records,
        photograph: bytes,
    ) -> None:
        response = send_image(client, lesion.public_id, headers, photograph)

        assert "not taken in" in error_of(response, HTTPStatus.SERVICE_UNAVAILABLE)["message"]
        assert records.count(LesionImage) == records.count(Prediction) == len(records.files()) == 0

    def test_upload_is_refused_in_words_when_sent_through_the_page(
        self, browser: Browser, lesion: Lesion, records: Records, photograph: bytes
    ) -> None:
        page = browser.fill_in(f"/lesions/{lesion.public_id}/images/new", image=(photograph, "photo.jpg"))

        assert page.status == 503
        assert "Tell your engineer" in page.text
        assert records.files() == []

    def test_other_pages_work_when_the_model_does_not(self, browser: Browser, lesion: Lesion) -> None:
        addresses = ["/", "/patients", "/examinations", f"/patients/{lesion.patient.public_id}"]

        assert [browser.open(address).status for address in addresses] == [200] * 4


class TestModelMissing:
    def test_upload_is_refused_whole_when_there_is_no_model(
        self, make_app: Callable[..., Flask], headers: dict[str, str], lesion: Lesion, photograph: bytes
    ) -> None:
        client = make_app(MODEL_NAME="nothing").test_client()

        error_of(send_image(client, lesion.public_id, headers, photograph), HTTPStatus.SERVICE_UNAVAILABLE)


class TestStorageUnwritable:
    @pytest.fixture(autouse=True)
    def _blocked(self, image_folder: Path) -> None:
        """A file stands where the folder should be: not even root can write there."""
        image_folder.write_text("no folder", encoding="utf-8")

    def test_upload_leaves_no_row_when_sent_over_rest(
        self,
        client: FlaskClient,
        headers: dict[str, str],
        lesion: Lesion,
        records: Records,
        photograph: bytes,
    ) -> None:
        response = send_image(client, lesion.public_id, headers, photograph)

        assert "nothing was saved" in error_of(response, HTTPStatus.SERVICE_UNAVAILABLE)["message"]
        assert records.count(LesionImage) == records.count(Prediction) == 0
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.IMAGE_ADDED) == 0

    def test_upload_leaves_no_row_when_sent_through_the_page(
        self, browser: Browser, lesion: Lesion, records: Records, photograph: bytes
    ) -> None:
        page = browser.fill_in(f"/lesions/{lesion.public_id}/images/new", image=(photograph, "photo.jpg"))

        assert page.status == 503
        assert records.count(LesionImage) == records.count(Prediction) == 0

    def test_next_upload_works_when_the_folder_is_mended(
        self,
        client: FlaskClient,
        headers: dict[str, str],
        lesion: Lesion,
        image_folder: Path,
        records: Records,
        photograph: bytes,
    ) -> None:
        send_image(client, lesion.public_id, headers, photograph)
        image_folder.unlink()

        assert send_image(client, lesion.public_id, headers, photograph).status_code == 201
        assert records.count(LesionImage) == 1
        assert len(records.files()) == FILES_AN_IMAGE


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
