"""What the pages of the record cost: a patient with 200 photographs, a result, a heat map.

    .venv/bin/python -m benchmarks.clinical_pages

Both sides of each comparison run in one process, in turns, on the same records: drawn lesions, scored by the custom
CNN, on SQLite. The patient page is opened in Chromium, once as it is and once with whole photographs in the place of
the thumbnails, and nobody scrolls. Prints medians, their ratio and the limit our side is held to.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, Route, sync_playwright

from benchmarks.inference import CORES, in_turns, wait_until_served
from config import PROJECT_ROOT

PHOTOGRAPHS: Final = 200
DRAWINGS: Final = 8
"""Different ones; more would only make the preparation longer."""
MODEL: Final = "custom_cnn"
USERNAME: Final = "bench"
PASSWORD: Final = "sixteen letters x"
PORT: Final = 5991


def main() -> None:
    """Measure and print everything."""
    print(f"{PHOTOGRAPHS} photographs, {CORES} cores\n")
    print(f"{'measure':<52}{'theirs':>12}{'ours':>12}{'ratio':>8}  limit")
    with tempfile.TemporaryDirectory() as folder:
        app, patient_id, prediction_id, image_id = fill_clinic(Path(folder))
        measure_server_time(app, image_id, prediction_id)
        with serve(Path(folder)) as address:
            measure_bytes(f"{address}/patients/{patient_id}")


def environment_of(folder: Path) -> dict[str, str]:
    """Settings of a throw-away clinic."""
    return {
        "INSTANCE_FOLDER": str(folder),
        "DATABASE_URL": "",
        "DEMO": "0",
        "MODEL_NAME": MODEL,
        "HOST": "127.0.0.1",
        "PORT": str(PORT),
    }


def fill_clinic(folder: Path) -> tuple[Any, str, str, str]:
    """A clinic with one patient and one lesion; gives the app and the ids of patient, prediction and photograph."""
    import flask_migrate

    from config import Settings
    from melanoma_app import create_app
    from melanoma_app.models.vocabulary import AnatomSiteGeneral, ImageType, Role
    from melanoma_app.services.accounts import create_user
    from melanoma_app.services.actor import Actor
    from melanoma_app.services.clinics import find_clinic
    from melanoma_app.services.demo_images import draw_lesion
    from melanoma_app.services.examinations import record_examination
    from melanoma_app.services.lesions import add_lesion

    app = create_app(Settings.from_environment(environment_of(folder)))
    with app.app_context():
        flask_migrate.upgrade()
        user = create_user(
            clinic=find_clinic(), username=USERNAME, display_name="", password=PASSWORD, role=Role.CLINICIAN
        )
        user.clinic = find_clinic()
        actor = Actor(user=user)
        patient = register(actor)
        lesion = add_lesion(
            patient_public_id=patient.public_id,
            anatom_site_general=AnatomSiteGeneral.UPPER_EXTREMITY,
            description="",
            actor=actor,
        )
        drawings = [draw_lesion(seed=seed, irregularity=seed / DRAWINGS) for seed in range(DRAWINGS)]
        for number in range(PHOTOGRAPHS):
            record = record_examination(
                lesion_public_id=lesion.public_id,
                upload=drawings[number % DRAWINGS],
                image_type=ImageType.DERMOSCOPIC,
                quality_override_reason="A drawing",
                actor=actor,
            )
        assert record.prediction is not None  # noqa: S101 (the model is there)
        return app, str(patient.public_id), str(record.prediction.public_id), str(record.image.public_id)


def register(actor: Any) -> Any:
    """A patient who lets a model look."""
    from datetime import date

    from melanoma_app.models.vocabulary import Gender
    from melanoma_app.services.patients import PatientDetails, register_patient

    details = PatientDetails(
        mrn="B1",
        family_name="A",
        given_name="B",
        birth_date=date(1970, 1, 1),
        gender=Gender.OTHER,
        consent_to_ai_analysis=True,
    )
    return register_patient(details=details, actor=actor)


def measure_server_time(app: Any, image_id: str, prediction_id: str) -> None:
    """The result page against a page without records, the heat map against drawing it alone; both in process."""
    from ml.inference import Classifier, decode_image, find_released_model, overlay_heat_map

    client = app.test_client()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/sign-in").text)
    assert token is not None  # noqa: S101 (else the page has changed)
    form = {"csrf_token": token[1], "username": USERNAME, "password": PASSWORD}
    client.post("/sign-in", data=form)

    def opening(address: str) -> Callable[[], None]:
        def open_it() -> None:
            response = client.get(address)
            if response.status_code != 200:
                raise SystemExit(f"{address}: {response.status_code}")

        return open_it

    floor, page = in_turns(opening("/api-docs"), opening(f"/examinations/{image_id}"))
    report("result page against a page without records", floor * 1e3, page * 1e3, "ms", "≤ 150 ms")
    classifier = Classifier.load(find_released_model(MODEL), threads=CORES)
    photograph = client.get(f"/images/{image_id}").data

    def draw() -> None:
        image = decode_image(photograph)
        overlay_heat_map(image, classifier.explain(image))

    core, heat_map = in_turns(draw, opening(f"/predictions/{prediction_id}/heat-map"))
    report("heat map against decoding and drawing alone", core * 1e3, heat_map * 1e3, "ms", "≤ 300 ms")


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """`flask serve` on the clinic; gives its address."""
    with subprocess.Popen(  # nosec B603 # arguments of this file alone
        [sys.executable, "-m", "flask", "serve"],
        cwd=PROJECT_ROOT,
        env=os.environ | environment_of(folder),
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            wait_until_served(PORT)
            yield f"http://127.0.0.1:{PORT}"
        finally:
            server.terminate()


def measure_bytes(patient_address: str) -> None:
    """What the browser is sent for the patient's page before anybody scrolls."""
    sent = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for side in ("theirs", "ours"):
            context = browser.new_context(base_url=patient_address, viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.goto("/sign-in")
            page.get_by_label("User name").fill(USERNAME)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("heading", name="Overview").wait_for()
            if side == "theirs":
                page.route("**/thumbnail", send_whole_photograph)
            sent[side] = bytes_of(page, patient_address)
            context.close()
        browser.close()
    report("patient page, sent before scrolling", sent["theirs"] / 1e3, sent["ours"] / 1e3, "kB", "≤ 1000 kB")


def send_whole_photograph(route: Route) -> None:
    """Answer a request for a thumbnail with the photograph itself."""
    route.fulfill(response=route.fetch(url=route.request.url.removesuffix("/thumbnail")))


def bytes_of(page: Page, address: str) -> int:
    """Bytes of all bodies that opening a page brings, styles and scripts included."""
    sizes: list[int] = []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    return sum(sizes)


def report(name: str, theirs: float, ours: float, unit: str, limit: str) -> None:
    """One row of the table."""
    print(
        f"{name:<52}{theirs:>9.1f} {unit:<2}{ours:>9.1f} {unit:<2}{ours / theirs:>8.3f}  {limit}", flush=True
    )


if __name__ == "__main__":
    main()
