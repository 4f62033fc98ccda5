"""Hostile list 34: a model file with one bit flipped: it scores nothing, and nobody can send another.

The training side, which loads Keras files, is held in tests/ml/test_start_weights.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_wtf import FlaskForm
from wtforms.fields.core import UnboundField

from melanoma_app.model_shelf import ModelPin, ModelShelf
from melanoma_app.models import Clinic, Lesion, LesionImage, ModelActivation, Prediction, User
from melanoma_app.models.vocabulary import Role
from melanoma_app.security.upload_gate import TAKES_PHOTOGRAPHS
from ml.inference import ModelIntegrityError, ModelManifest
from tests.api import error_of, multipart, send_image
from tests.browsing import Browser
from tests.factories import LesionFactory, UserFactory
from tests.records import Records
from tests.released import OTHER, SERVED, flip_a_bit


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


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


@pytest.mark.parametrize("place", [0.0, 0.25, 0.5, 0.999])
def test_model_is_refused_by_name_when_any_bit_is_flipped(shelf: Path, place: float) -> None:
    file = shelf / OTHER / "model.onnx"
    pin = ModelPin(identifier=OTHER, sha256=ModelManifest.read(shelf / OTHER).sha256)
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 0x10
    file.write_bytes(content)
    models = ModelShelf(folder=shelf, default_name=OTHER, threads=1)

    for refused in (models.load, models.check, models.load_for_many):
        with pytest.raises(ModelIntegrityError, match=f"{re.escape(OTHER)}/model.onnx.*sha256 differs"):
            refused(pin)


def test_photographs_are_the_only_files_that_may_be_sent_when_every_form_and_operation_is_read(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    """So no model comes in: an administrator names one that stands on the shelf. A manifest lists photographs."""
    takes_files = {"FileField", "MultipleFileField"}
    forms = {form.__name__ for form in every_form(FlaskForm) if takes_files & field_kinds(form)}
    document = client.get("/api/v1/openapi.json", headers=headers).json
    operations = {
        (method, path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict)
        and "multipart/form-data" in operation.get("requestBody", {}).get("content", {})
    }

    assert forms == {"ExaminationForm", "ManifestForm", "PhotographsForm"}
    assert operations == {("post", "/api/v1/lesions/{lesion_id}/images")}
    assert {"prediction.examine", "images.create_image", "uploads.send"} == TAKES_PHOTOGRAPHS
    assert set(client.application.view_functions) >= TAKES_PHOTOGRAPHS


def every_form(form: type[FlaskForm]) -> Iterator[type[FlaskForm]]:
    for kind in form.__subclasses__():
        yield kind
        yield from every_form(kind)


def field_kinds(form: type[FlaskForm]) -> set[str]:
    """The kinds of a form's fields, which are not made before the form is."""
    fields = (getattr(form, name) for name in dir(form))
    return {field.field_class.__name__ for field in fields if isinstance(field, UnboundField)}


@pytest.mark.parametrize(
    "identifier", ["/tmp/evil", "../evil-1.0.0", "https://evil.test/m-1.0.0", "evil.onnx"]
)
def test_nothing_is_loaded_when_an_administrator_names_what_is_not_on_the_shelf(
    client: FlaskClient,
    token_headers: Callable[[User], dict[str, str]],
    clinic: Clinic,
    records: Records,
    identifier: str,
) -> None:
    admin = token_headers(UserFactory(clinic=clinic, role=Role.ADMIN))
    body, content_type = multipart({"model": identifier, "reason": "x"})

    answer = client.put("/api/v1/models/active", json={"model": identifier, "reason": "x"}, headers=admin)
    as_form = client.put("/api/v1/models/active", data=body, content_type=content_type, headers=admin)

    error_of(answer, HTTPStatus.NOT_FOUND)
    assert 400 <= as_form.status_code < 500
    assert records.count(ModelActivation) == 0
