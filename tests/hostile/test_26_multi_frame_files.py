"""Hostile list 26: multi-frame files: one picture is taken or the file is refused, never one that nobody chose."""

from __future__ import annotations

import io
from http import HTTPStatus

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from melanoma_app.models import Clinic, Lesion, LesionImage
from tests.api import error_of, send_image
from tests.factories import LesionFactory
from tests.photographs import draw_photograph, drawn_image, encode, make_animated_gif, make_animated_png
from tests.records import Records


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (make_animated_png(), HTTPStatus.UNPROCESSABLE_ENTITY),
        (make_animated_gif(), HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    ],
    ids=["APNG", "GIF"],
)
def test_moving_picture_is_refused_in_words_when_sent(
    client: FlaskClient,
    headers: dict[str, str],
    lesion: Lesion,
    records: Records,
    content: bytes,
    status: HTTPStatus,
) -> None:
    refusal = error_of(send_image(client, lesion.public_id, headers, content), status)

    assert "save" in refusal["message"].lower()
    assert records.count(LesionImage) == len(records.files()) == 0


def test_first_picture_alone_is_kept_when_a_jpeg_holds_several(
    client: FlaskClient, headers: dict[str, str], lesion: Lesion, records: Records
) -> None:
    others = [Image.new("RGB", (600, 600), "blue")] * 3
    stereo = encode(drawn_image(), "MPO", save_all=True, append_images=others)

    assert send_image(client, lesion.public_id, headers, stereo).status_code == HTTPStatus.CREATED

    stored = Image.open(io.BytesIO(records.stored(records.one(LesionImage).storage_key).read_bytes()))
    assert (stored.format, getattr(stored, "n_frames", 1)) == ("JPEG", 1)
    first = np.asarray(Image.open(io.BytesIO(draw_photograph())), dtype=np.int16)
    assert np.abs(np.asarray(stored, dtype=np.int16) - first).mean() < 4
