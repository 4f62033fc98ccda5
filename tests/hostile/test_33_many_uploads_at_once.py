"""Hostile list 33: fifty 24-megapixel uploads at once: 429 or 503, no out-of-memory, health under 1 s."""

from __future__ import annotations

import http.client
import io
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from flask import Flask
from PIL import Image
from werkzeug.datastructures import FileStorage

from melanoma_app.models import Clinic as ClinicRecord
from melanoma_app.models import LesionImage
from tests.api import multipart, send_image
from tests.browser.conftest import Clinic
from tests.factories import LesionFactory
from tests.hostile.wire import peak_mb, workers_of
from tests.photographs import draw_photograph, encode, shoot_again
from tests.records import Records

UPLOADS = 50
MOST_MB = 1000
LONGEST_LOOK_S = 1.0


def make_24_megapixels() -> bytes:
    """A photograph as a camera stores it; progressive, which takes libjpeg the most memory."""
    picture = Image.open(io.BytesIO(draw_photograph())).resize((6000, 4000))
    return encode(picture, "JPEG", quality=80, progressive=True)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_memory_is_bounded_and_pages_are_answered_when_fifty_come_at_once(
    served: Clinic, headers: dict[str, str], clinic: ClinicRecord, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    photograph = make_24_megapixels()
    server = urlsplit(served.address)
    (worker,) = workers_of(served.process_id)
    together = threading.Barrier(UPLOADS)

    def send(_number: int) -> int:
        image = FileStorage(io.BytesIO(shoot_again(photograph)), "photo.jpg")
        body, content_type = multipart({"image": image, "quality_override_reason": "Large"})
        connection = http.client.HTTPConnection(str(server.hostname), server.port, timeout=120)
        together.wait()
        connection.request(
            "POST",
            f"/api/v1/lesions/{lesion.public_id}/images",
            body,
            headers | {"Content-Type": content_type},
        )
        answer = connection.getresponse()
        answer.read()
        assert answer.status != 503 or answer.headers["Retry-After"].isdigit()
        connection.close()
        return answer.status

    looks: list[float] = []
    with ThreadPoolExecutor(UPLOADS) as senders:
        sending = [senders.submit(send, number) for number in range(UPLOADS)]
        while not all(one.done() for one in sending):
            started = time.monotonic()
            connection = http.client.HTTPConnection(str(server.hostname), server.port, timeout=120)
            connection.request("GET", "/sign-in")
            assert connection.getresponse().status == 200
            looks.append(time.monotonic() - started)
            connection.close()
            time.sleep(0.05)

    answers = Counter(one.result() for one in sending)
    print(f"{dict(answers)}, peak {peak_mb(worker):.0f} MB, longest look {max(looks):.2f} s of {len(looks)}")
    assert answers.keys() <= {201, 429, 503}
    assert records.count(LesionImage) == answers[201] > 0
    assert peak_mb(worker) < MOST_MB
    assert workers_of(served.process_id) == [worker]
    assert max(looks) < LONGEST_LOOK_S


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_upload_is_told_to_come_again_when_all_slots_are_taken(
    make_app: Callable[..., Flask], headers: dict[str, str], clinic: ClinicRecord, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    app = make_app(WEB_THREADS="2")
    app.extensions["decoding"] = slow = threading.BoundedSemaphore(1)
    slow.acquire()  # the first waits for it
    with ThreadPoolExecutor(1) as other:
        first = other.submit(send_image, app.test_client(), lesion.public_id, headers, draw_photograph())
        wait_until(lambda: send_image(app.test_client(), lesion.public_id, headers, b"").status_code == 503)
        second = send_image(app.test_client(), lesion.public_id, headers, draw_photograph())
        page = app.test_client().get("/sign-in")
        slow.release()

    assert (second.status_code, second.headers["Retry-After"]) == (503, "3")
    assert "again" in second.json["error"]["message"]
    assert page.status_code == 200
    assert first.result().status_code == 201
    assert send_image(app.test_client(), lesion.public_id, headers, draw_photograph()).status_code == 201
    assert records.count(LesionImage) == 2


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
