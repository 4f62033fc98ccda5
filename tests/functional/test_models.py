"""The released models over pages and REST: the list, one model, and the switch from one to another."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from melanoma_app.model_shelf import PLOTS
from melanoma_app.models import Clinic, Lesion, ModelActivation, ModelVersion, Prediction, User
from melanoma_app.models.vocabulary import Role
from melanoma_app.serving import prepare
from ml.inference import ModelManifest
from tests.api import error_of, send_image
from tests.browsing import Browser, words
from tests.databases import find_free_port
from tests.factories import LesionFactory, ModelVersionFactory, PredictionFactory, UserFactory
from tests.records import Records
from tests.released import OTHER, OTHER_THRESHOLD, OTHER_VERSION, SERVED, flip_a_bit

OTHER_PAGE = f"/models/{OTHER}"
TRAVERSALS = [
    "/models/../manifest.json",
    "/models/..%2f..%2fconfig.py",
    "/models/%2e%2e",
    f"{OTHER_PAGE}/plots/manifest.json",
    f"{OTHER_PAGE}/plots/model.onnx",
    f"{OTHER_PAGE}/plots/..%2froc.png",
    f"{OTHER_PAGE}/plots/..%5croc.png",
    f"{OTHER_PAGE}/plots/%2e%2e/roc.png",
    f"{OTHER_PAGE}/plots/roc.png%00.txt",
    "/models/%2e%2e/plots/roc.png",
    "/models/hidden/plots/roc.png",
    "/models/nothing-1.0.0/plots/roc.png",
]


@pytest.fixture
def environment(environment: dict[str, str], shelf: Path) -> dict[str, str]:
    """An app with two released models, of which the older serves by default."""
    return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}


@pytest.fixture
def admin(clinic: Clinic) -> User:
    return UserFactory(clinic=clinic, role=Role.ADMIN)


@pytest.fixture
def admin_browser(sign_in: Callable[[User], Browser], admin: User) -> Browser:
    return sign_in(admin)


@pytest.fixture
def admin_headers(token_headers: Callable[[User], dict[str, str]], admin: User) -> dict[str, str]:
    return token_headers(admin)


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


class TestPages:
    def test_every_model_is_listed_with_the_active_one_in_words_when_opened(self, browser: Browser) -> None:
        page = browser.open("/models")

        rows = {words(row.find("a")): words(row) for row in page.soup.select("table tbody tr")}
        assert rows.keys() == {SERVED.name, OTHER}
        assert "Active" in rows[SERVED.name]
        assert "Active" not in rows[OTHER]
        assert "Ready" in rows[OTHER]
        assert f"scored by {SERVED.name}" in page.text
        (current,) = page.soup.select("nav [aria-current=page]")
        assert words(current) == "Model"

    def test_manifest_and_card_are_shown_when_a_model_is_opened(self, browser: Browser) -> None:
        manifest = ModelManifest.read(SERVED)

        page = browser.open(f"/models/{SERVED.name}")

        for text in (
            manifest.trained_on,
            manifest.data.terms,
            *manifest.data.credit,
            manifest.sha256,
            f"{manifest.operating_point.sensitivity * 100:.1f} %",
            f"{manifest.input_size_px} × {manifest.input_size_px} px",
        ):
            assert " ".join(text.split()) in page.text
        card = page.soup.find("pre", attrs={"aria-label": "Model card"})
        assert card is not None
        assert card.get_text().strip() == (SERVED / "MODEL_CARD.md").read_text(encoding="utf-8").strip()
        shown = [float(words(cell)) for cell in page.soup.select(".table--figures td") if words(cell) != "–"]
        assert sorted(shown) == sorted(round(value, 3) for value in manifest.metrics.values())

    def test_plots_are_pngs_when_their_links_are_followed(self, browser: Browser) -> None:
        page = browser.open(OTHER_PAGE)

        sources = [str(image["src"]) for image in page.soup.select(".plots img")]
        assert len(sources) == sum((SERVED / name).is_file() for name in PLOTS)
        for source in sources:
            response = browser.client.get(source)
            assert response.status_code == 200
            assert response.mimetype == "image/png"
            assert response.data.startswith(b"\x89PNG")

    @pytest.mark.parametrize("address", TRAVERSALS)
    def test_nothing_is_given_out_when_the_address_leads_elsewhere(
        self, browser: Browser, shelf: Path, address: str
    ) -> None:
        (shelf / "hidden").mkdir()
        for folder in (shelf, shelf / "hidden"):
            (folder / "roc.png").write_bytes(b"secret")

        response = browser.client.get(address, follow_redirects=True)

        assert response.status_code == 404
        assert b"secret" not in response.data

    def test_card_stays_text_when_it_holds_markup(self, browser: Browser, shelf: Path) -> None:
        (shelf / OTHER / "MODEL_CARD.md").write_text("<script>alert(1)</script>", encoding="utf-8")

        page = browser.open(OTHER_PAGE)

        assert "<script>alert(1)</script>" in page.text
        assert not [script for script in page.soup.find_all("script") if "alert" in script.get_text()]

    def test_former_model_is_shown_when_it_has_scored_here(self, browser: Browser, clinic: Clinic) -> None:
        version = ModelVersionFactory(name="former", version="0.9.0")
        PredictionFactory(model_version=version, lesion_image__lesion__patient__clinic=clinic)

        assert "No longer released" in browser.open("/models").text
        page = browser.open("/models/former-0.9.0")
        assert page.status == 200
        assert "no longer among the released models" in page.text

    def test_damaged_model_is_told_of_when_listed(
        self, admin_browser: Browser, shelf: Path, records: Records
    ) -> None:
        (shelf / OTHER / "manifest.json").write_text("{}", encoding="utf-8")

        assert "Cannot be used" in admin_browser.open("/models").text
        page = admin_browser.open(OTHER_PAGE)
        assert page.status == 200
        assert "cannot be used" in page.text
        assert str(shelf) not in page.text
        assert not page.soup.select("#switch")


class TestSwitchByPage:
    def test_new_photographs_are_scored_by_the_other_model_when_an_administrator_switches(
        self,
        admin_browser: Browser,
        client: FlaskClient,
        headers: dict[str, str],
        lesion: Lesion,
        records: Records,
        photograph: bytes,
    ) -> None:
        before = send_image(client, lesion.public_id, headers, photograph).json["prediction"]

        form_page = admin_browser.open(OTHER_PAGE)
        assert f"scored by {OTHER} instead of {SERVED.name}" in words(form_page.soup.select_one("#switch"))
        assert "Earlier results keep theirs" in form_page.text
        page = admin_browser.send(form_page.form(), form_page, reason="Fewer false alarms")

        assert page.path == "/models"
        assert f"now scored by {OTHER}" in page.text
        assert "“Fewer false alarms”" in page.text
        after = send_image(client, lesion.public_id, headers, photograph).json["prediction"]
        assert after["model"]["version"] == OTHER_VERSION
        assert after["threshold"] == OTHER_THRESHOLD
        kept = client.get(f"/api/v1/predictions/{before['id']}", headers=headers).json
        assert {name: kept[name] for name in before} == before

    def test_form_says_what_is_missing_when_no_reason_is_given(
        self, admin_browser: Browser, records: Records
    ) -> None:
        page = admin_browser.fill_in(OTHER_PAGE, reason="  ")

        assert page.status == 422
        assert "Say why" in page.error_of("reason")
        assert records.count(ModelActivation) == 0

    def test_page_says_so_when_somebody_else_has_switched(
        self, admin_browser: Browser, sign_in: Callable[[User], Browser], admin: User, records: Records
    ) -> None:
        stale = admin_browser.open(f"/models/{SERVED.name}")
        sign_in(admin).fill_in(OTHER_PAGE, reason="Better")

        refused = admin_browser.send(stale.form(), stale, reason="Settle")

        assert refused.status == 409
        assert f"The active model is {OTHER} by now" in refused.text
        assert words(refused.soup.find("textarea")) == "Settle"
        assert records.count(ModelActivation) == 1

    def test_page_says_why_when_the_model_is_damaged(
        self, admin_browser: Browser, shelf: Path, records: Records
    ) -> None:
        page = admin_browser.open(OTHER_PAGE)
        flip_a_bit(shelf / OTHER / "model.onnx")

        answer = admin_browser.send(page.form(), page, reason="Better")

        assert answer.status == 409
        assert "sha256 differs" in answer.text
        assert str(shelf) not in answer.text
        assert records.count(ModelActivation) == 0

    def test_nothing_is_switched_when_the_token_is_missing(
        self, admin_browser: Browser, records: Records
    ) -> None:
        response = admin_browser.client.post(OTHER_PAGE, data={"reason": "Better"})

        assert response.status_code == 400
        assert records.count(ModelActivation) == 0

    @pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMIN}))
    def test_form_is_not_there_and_its_address_refuses_when_not_an_administrator(
        self, sign_in: Callable[[User], Browser], clinic: Clinic, records: Records, role: Role
    ) -> None:
        browser = sign_in(UserFactory(clinic=clinic, role=role))

        assert not browser.open(OTHER_PAGE).soup.select("#switch")
        assert browser.post(OTHER_PAGE, reason="Better").status_code == 403
        assert records.count(ModelActivation) == 0


class TestRest:
    def test_models_are_listed_when_asked_for(self, client: FlaskClient, headers: dict[str, str]) -> None:
        answer = client.get("/api/v1/models", headers=headers).json

        assert answer["active"] == {
            "id": SERVED.name,
            "is_default": True,
            "activated_at": None,
            "problem": "",
        }
        models = {one["id"]: one for one in answer["items"]}
        assert models.keys() == {SERVED.name, OTHER}
        manifest = ModelManifest.read(SERVED)
        assert models[SERVED.name]["metrics"] == manifest.metrics
        assert models[SERVED.name]["sha256"] == manifest.sha256
        assert models[SERVED.name]["sensitivity"] == manifest.operating_point.sensitivity
        assert [one["is_active"] for one in models.values()].count(True) == 1

    def test_former_model_has_no_manifest_when_listed(
        self, client: FlaskClient, headers: dict[str, str], clinic: Clinic
    ) -> None:
        version = ModelVersionFactory(name="former", version="0.9.0")
        PredictionFactory(model_version=version, lesion_image__lesion__patient__clinic=clinic)

        (former,) = (
            one
            for one in client.get("/api/v1/models", headers=headers).json["items"]
            if not one["is_on_shelf"]
        )

        assert (former["id"], former["predictions"], former["threshold"]) == ("former-0.9.0", 1, 0.5)
        assert "metrics" not in former

    def test_other_model_scores_when_an_administrator_puts_it(
        self,
        client: FlaskClient,
        admin_headers: dict[str, str],
        lesion: Lesion,
        records: Records,
        photograph: bytes,
    ) -> None:
        choice = {"model": OTHER, "reason": "Better", "replaces": SERVED.name}

        answer = client.put("/api/v1/models/active", json=choice, headers=admin_headers)

        assert answer.status_code == 200
        assert answer.json["active"]["id"] == OTHER
        scored = send_image(client, lesion.public_id, admin_headers, photograph).json["prediction"]
        assert scored["threshold"] == OTHER_THRESHOLD
        assert records.one(ModelActivation).reason == "Better"

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"model": "nothing-1.0.0"}, HTTPStatus.NOT_FOUND),
            ({"model": "../released"}, HTTPStatus.NOT_FOUND),
            ({"replaces": OTHER}, HTTPStatus.CONFLICT),
            ({"reason": " "}, HTTPStatus.UNPROCESSABLE_ENTITY),
            ({"reason": None}, HTTPStatus.UNPROCESSABLE_ENTITY),
            ({"more": 1}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ],
    )
    def test_nothing_is_switched_when_the_request_will_not_do(
        self,
        client: FlaskClient,
        admin_headers: dict[str, str],
        records: Records,
        changes: dict[str, object],
        status: HTTPStatus,
    ) -> None:
        choice = {"model": OTHER, "reason": "Better"} | changes

        error_of(client.put("/api/v1/models/active", json=choice, headers=admin_headers), status)
        assert records.count(ModelActivation) == 0

    def test_nothing_is_switched_when_a_clinicians_token_is_sent(
        self, client: FlaskClient, headers: dict[str, str], records: Records
    ) -> None:
        choice = {"model": OTHER, "reason": "Better"}

        error_of(client.put("/api/v1/models/active", json=choice, headers=headers), HTTPStatus.FORBIDDEN)
        assert records.count(ModelActivation) == 0


def test_other_process_scores_with_the_new_model_when_one_has_switched(
    make_app: Callable[..., Flask],
    headers: dict[str, str],
    admin_headers: dict[str, str],
    lesion: Lesion,
    records: Records,
    photograph: bytes,
) -> None:
    """Two apps on one database stand for two processes: each holds a model of its own in memory."""
    clients = [make_app().test_client() for _ in range(2)]
    for client in clients:
        assert send_image(client, lesion.public_id, headers, photograph).status_code == 201

    clients[0].put("/api/v1/models/active", json={"model": OTHER, "reason": "x"}, headers=admin_headers)

    answers = [send_image(client, lesion.public_id, headers, photograph).json for client in clients]
    assert [answer["prediction"]["model"]["version"] for answer in answers] == [OTHER_VERSION] * 2
    restarted = make_app().test_client()
    answer = send_image(restarted, lesion.public_id, headers, photograph).json
    assert answer["prediction"]["model"]["version"] == OTHER_VERSION


def test_photographs_are_refused_and_pages_work_when_the_active_model_has_vanished(
    browser: Browser,
    client: FlaskClient,
    headers: dict[str, str],
    admin_headers: dict[str, str],
    lesion: Lesion,
    shelf: Path,
    records: Records,
    photograph: bytes,
) -> None:
    client.put("/api/v1/models/active", json={"model": OTHER, "reason": "x"}, headers=admin_headers)
    send_image(client, lesion.public_id, headers, photograph)
    (shelf / OTHER).rename(shelf / ".away")

    refusal = error_of(
        send_image(client, lesion.public_id, headers, photograph), HTTPStatus.SERVICE_UNAVAILABLE
    )

    assert "not taken in" in refusal["message"]
    assert records.count(Prediction) == records.count(ModelVersion) == 1
    page = browser.open("/models")
    assert page.status == 200
    assert "New photographs are refused" in page.text
    assert browser.open(OTHER_PAGE).status == 200
    assert client.get("/api/v1/models", headers=headers).json["active"]["problem"]


def test_start_says_what_to_do_when_the_active_model_is_missing(
    app: Flask,
    environment: dict[str, str],
    client: FlaskClient,
    admin_headers: dict[str, str],
    shelf: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = Settings.from_environment(environment | {"PORT": str(find_free_port())})
    client.put("/api/v1/models/active", json={"model": OTHER, "reason": "x"}, headers=admin_headers)
    capsys.readouterr()
    prepare(app, settings)
    assert capsys.readouterr().err == ""
    (shelf / OTHER).rename(shelf / ".away")

    prepare(app, settings)

    (warning,) = capsys.readouterr().err.splitlines()
    assert OTHER in warning
    assert "restore its folder" in warning
    assert "flask models activate" in warning
