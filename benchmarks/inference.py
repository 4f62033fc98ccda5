"""One answer of the custom CNN: Keras `predict` against our path, and the whole upload against its core.

    .venv/bin/python -m benchmarks.inference

Both sides of each comparison run in one process tree, in turns, on the same picture: a drawn lesion blown up to 12
megapixels with sensor noise. Prints medians, their ratio and the limit the ratio is held to.
"""

from __future__ import annotations

import http.client
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from config import PROJECT_ROOT

ROUNDS: Final = 40
CORES: Final = len(os.sched_getaffinity(0))
"""What the app gives its model when one process serves, as by default."""
WARM_UP_ROUNDS: Final = 5
PHOTOGRAPH_SIZE_PX: Final = (4000, 3000)
SENSOR_NOISE: Final = 6.0  # grey levels, as at ISO 800 on a telephone
BOUNDARY: Final = "boundary-of-the-benchmark"


def main() -> None:
    """Measure and print everything."""
    photograph = make_photograph()
    print(f"12-megapixel JPEG of {len(photograph) / 1e6:.1f} MB, {ROUNDS} rounds, {CORES} cores\n")
    print(f"{'measure':<46}{'theirs':>12}{'ours':>12}{'ratio':>8}  limit")
    measure_prediction(photograph)
    measure_first_answer()
    with tempfile.TemporaryDirectory() as folder:
        measure_upload(photograph, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        measure_server(photograph, Path(folder))


def make_photograph() -> bytes:
    """A JPEG file of 12 megapixels with noise in it, as a telephone makes."""
    from melanoma_app.services.demo_images import draw_lesion

    drawn = Image.open(io.BytesIO(draw_lesion(seed=7, irregularity=0.7)))
    pixels = np.asarray(drawn.resize(PHOTOGRAPH_SIZE_PX, Image.Resampling.BICUBIC)).astype(np.float32)
    noisy = pixels + np.random.default_rng(7).normal(0, SENSOR_NOISE, (*pixels.shape[:2], 1))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=93)
    return buffer.getvalue()


def measure_prediction(photograph: bytes) -> None:
    """A batch of one: `keras.Model.predict` against our session, on one prepared input and from a decoded picture."""
    from ml.inference import Classifier, decode_image, find_released_model
    from ml.preprocessing import to_network_input

    folder = find_released_model("custom_cnn")
    ours, theirs = Classifier.load(folder, threads=CORES), load_keras(folder)
    image = decode_image(photograph)
    size_px = ours.manifest.input_size_px
    pixels = to_network_input(image, size_px=size_px)[np.newaxis]
    network = in_turns(lambda: theirs.predict(pixels, verbose=0), lambda: ours.probabilities(pixels))
    report("prediction, batch of 1 (Keras predict)", network[0] * 1e3, network[1] * 1e3, "ms", "≤ 0.050")
    whole = in_turns(
        lambda: theirs.predict(to_network_input(image, size_px=size_px)[np.newaxis], verbose=0),
        lambda: ours.predict(image),
    )
    report("the same from a decoded 3-megapixel picture", whole[0] * 1e3, whole[1] * 1e3, "ms", "")


def measure_first_answer() -> None:
    """A fresh process each: from its start to the first answer, and the memory it holds then."""
    answers = {side: run_first_answer(side) for side in ("keras", "ours")}
    report("time to first answer, fresh process", answers["keras"][0], answers["ours"][0], "s", "")
    report("peak memory after it", answers["keras"][1], answers["ours"][1], "MB", "")


def measure_upload(photograph: bytes, folder: Path) -> None:
    """The whole request through the app, in process, against decoding and inference alone."""
    from melanoma_app.services.image_files import STORED_JPEG_QUALITY
    from ml.inference import Classifier, decode_image, find_released_model

    client, path, headers = open_clinic(folder)
    classifier = Classifier.load(find_released_model("custom_cnn"), threads=CORES)
    body = multipart(photograph)

    def upload() -> None:
        response = client.post(path, data=body, headers=headers)
        if response.status_code != 201:
            raise SystemExit(
                f"the upload was refused: {response.status_code} {response.get_data(as_text=True)}"
            )

    core = in_turns(lambda: classifier.predict(decode_image(photograph)), upload)
    report("upload against decode + inference alone", core[0] * 1e3, core[1] * 1e3, "ms", "≤ 1.25")

    def decode_predict_encode() -> None:
        image = decode_image(photograph)
        classifier.predict(image)
        image.save(io.BytesIO(), "JPEG", quality=STORED_JPEG_QUALITY, subsampling="4:2:0")

    encoded = in_turns(decode_predict_encode, upload)
    report("upload against these + re-encoding", encoded[0] * 1e3, encoded[1] * 1e3, "ms", "")


def measure_server(photograph: bytes, folder: Path) -> None:
    """The real server over loopback: how soon it serves, how long an upload takes, what memory it holds."""
    _, path, headers = open_clinic(folder)
    port = 5990
    environment = os.environ | environment_of(folder) | {"PORT": str(port)}
    started = time.perf_counter()
    with subprocess.Popen(  # nosec B603 # arguments of this file alone
        [sys.executable, "-m", "flask", "serve"], cwd=PROJECT_ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as server:
        try:
            wait_until_served(port)
            start_s = time.perf_counter() - started
            body = multipart(photograph)
            uploads_s = [timed(lambda: post(port, path, headers, body)) for _ in range(ROUNDS)]
            most_mb = max(memory_mb(pid, "VmHWM") for pid in (server.pid, *children_of(server.pid)))
        finally:
            server.terminate()
    print(
        f"\nserver: serving after {start_s:.1f} s (limit 3), upload over HTTP {statistics.median(uploads_s):.3f} s ",
        end="",
    )
    print(
        f"median, {max(uploads_s):.3f} s worst (limit 1), largest process {most_mb:.0f} MB at its most (limit 250)"
    )


def in_turns(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[float, float]:
    """Median seconds of both, measured one after the other in every round."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS + WARM_UP_ROUNDS):
        pair = timed(first), timed(second)
        if number >= WARM_UP_ROUNDS:
            times[0].append(pair[0])
            times[1].append(pair[1])
    return statistics.median(times[0]), statistics.median(times[1])


def timed(action: Callable[[], Any]) -> float:
    """Seconds the action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def report(name: str, theirs: float, ours: float, unit: str, limit: str) -> None:
    """One row of the table."""
    print(
        f"{name:<46}{theirs:>9.2f} {unit:<2}{ours:>9.2f} {unit:<2}{ours / theirs:>8.3f}  {limit}", flush=True
    )


def load_keras(folder: Path) -> Any:
    """The Keras model with the released weights."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ml.training.onnx_models import keras_model_from_onnx

    return keras_model_from_onnx(folder / "model.onnx", architecture="custom_cnn")


def run_first_answer(side: str) -> tuple[float, float]:
    """Seconds and megabytes of a fresh process that gives one answer."""
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603 # nosec B603 # a side from a closed list
        [sys.executable, "-m", "benchmarks.inference", side],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, float(done.stdout.split()[-1])


def give_first_answer(side: str) -> None:
    """In the fresh process: answer once, print the peak memory in MB."""
    from ml.inference import Classifier, find_released_model

    folder = find_released_model("custom_cnn")
    if side == "keras":
        load_keras(folder).predict(np.zeros((1, 128, 128, 3), np.float32), verbose=0)
    else:
        Classifier.load(folder).predict(Image.new("RGB", (128, 128)))
    # Not ru_maxrss: it starts from the parent's memory.
    print(memory_mb("self", "VmHWM"))


def environment_of(folder: Path) -> dict[str, str]:
    """Settings of a throw-away clinic."""
    return {"INSTANCE_FOLDER": str(folder), "DATABASE_URL": "", "DEMO": "0", "MODEL_NAME": "custom_cnn"}


def open_clinic(folder: Path) -> tuple[Any, str, dict[str, str]]:
    """A test client of a fresh clinic, the address of a lesion's images, and headers with a token."""
    import flask_migrate

    from config import Settings
    from melanoma_app import create_app
    from melanoma_app.models.vocabulary import Role
    from melanoma_app.security.permissions import ROLE_PERMISSIONS
    from melanoma_app.services.accounts import create_user
    from melanoma_app.services.clinics import find_clinic
    from melanoma_app.services.tokens import TOKEN_LIFETIME, create_token

    app = create_app(Settings.from_environment(environment_of(folder)))
    with app.app_context():
        flask_migrate.upgrade()
        user = create_user(
            clinic=find_clinic(),
            username="bench",
            display_name="",
            password="a synthetic clinic",  # noqa: S106 # nosec B106 # gone when it has been measured
            role=Role.NURSE,
        )
        _, token = create_token(
            user=user,
            name="benchmark",
            scopes=ROLE_PERMISSIONS[user.role],
            lifetime=TOKEN_LIFETIME,
            actor=None,
        )
    client = app.test_client()
    headers = {"Authorization": f"Bearer {token}"}
    details = {
        "mrn": "B1",
        "family_name": "A",
        "given_name": "B",
        "birth_date": "1970-01-01",
        "gender": "other",
        "consent_to_ai_analysis": True,
    }
    patient = client.post("/api/v1/patients", json=details, headers=headers).get_json()
    lesion = client.post(
        f"/api/v1/patients/{patient['id']}/lesions",
        json={"anatom_site_general": "head/neck"},
        headers=headers,
    ).get_json()
    headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
    return client, f"/api/v1/lesions/{lesion['id']}/images", headers


def multipart(photograph: bytes) -> bytes:
    """The body of the upload, made once: it is the browser's work, not ours."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return head.encode() + photograph + f"\r\n--{BOUNDARY}--\r\n".encode()


def post(port: int, path: str, headers: dict[str, str], body: bytes) -> None:
    """One upload over loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    if response.status != 201:
        raise SystemExit(f"the upload was refused: {response.status} {response.read()!r}")
    response.read()
    connection.close()


def wait_until_served(port: int) -> None:
    """Return once the sign-in page is answered."""
    deadline = time.perf_counter() + 60
    while time.perf_counter() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/sign-in")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("the server did not come up")


def children_of(pid: int) -> list[int]:
    """The processes it started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


def memory_mb(pid: int | str, line: str) -> float:
    """A line of a process's memory account in MB: VmRSS is what it holds now, VmHWM the most it held."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    kilobytes = next(text for text in status.splitlines() if text.startswith(f"{line}:")).split()[1]
    return int(kilobytes) / 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        give_first_answer(sys.argv[1])
    else:
        main()
