"""What the app answers is what the trained Keras network says of the same file, averaged and calibrated."""

from __future__ import annotations

from http import HTTPStatus

import numpy as np
import pytest
from flask.testing import FlaskClient

from melanoma_app.models import Clinic
from melanoma_app.services.demo_images import draw_lesion
from ml.inference import ModelManifest, decode_image, find_released_model
from ml.preprocessing import to_network_input
from ml.training.onnx_models import keras_model_from_onnx
from tests.api import send_image
from tests.factories import LesionFactory

LARGEST_DIFFERENCE = 1e-4 * 20
"""That of the network's answers; isotonic calibration is at most about so steep."""


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """An app that serves the network whose Keras layers its file gives back."""
    return environment | {"MODEL_NAME": "custom_cnn"}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_served_probability_is_the_keras_models_when_both_see_the_same_files(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic
) -> None:
    folder = find_released_model("custom_cnn")
    manifest = ModelManifest.read(folder)
    lesion = LesionFactory(patient__clinic=clinic)
    uploads = [draw_lesion(seed=seed, irregularity=seed / 6) for seed in range(7)]
    model = keras_model_from_onnx(folder / "model.onnx", architecture="custom_cnn")
    inputs = np.stack([to_network_input(decode_image(upload), size_px=128) for upload in uploads])
    turned = [
        np.rot90(one, quarter, axes=(1, 2)) for one in (inputs, inputs[:, ::-1]) for quarter in range(4)
    ]
    assert manifest.views == len(turned)
    answers = np.mean([model.predict(one, verbose=0)[:, 0] for one in turned], axis=0)
    expected = manifest.calibration.apply(answers)

    served = []
    for upload in uploads:
        answer = send_image(client, lesion.public_id, headers, upload)
        assert answer.status_code == HTTPStatus.CREATED
        served.append(answer.json["prediction"]["malignancy_probability"])

    assert np.ptp(expected) > 0.5  # the drawings differ enough for the comparison to mean something
    assert np.abs(np.array(served) - expected).max() <= LARGEST_DIFFERENCE
