"""The networks are the published ones, take pixels of 0 to 1, and are the same after saving in safe mode."""

import functools
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.training.architectures import ARCHITECTURES, BACKBONES, HEAD_LAYERS, build
from ml.training.errors import BenchError

SMALL_PX = {"custom_cnn": 32, "resnet50": 32, "vgg16": 32, "inception_v3": 75, "mobilenet_v2": 32}
PREPROCESSING = {
    "resnet50": keras.applications.resnet.preprocess_input,
    "vgg16": keras.applications.vgg16.preprocess_input,
    "inception_v3": keras.applications.inception_v3.preprocess_input,
    "mobilenet_v2": keras.applications.mobilenet_v2.preprocess_input,
}


@functools.cache
def network(architecture: str) -> keras.Model:
    """Built once, for tests that do not change it."""
    keras.utils.set_random_seed(3)
    return build(architecture, input_size_px=SMALL_PX[architecture])


def noise(architecture: str, count: int = 4) -> np.ndarray:
    """Images of 0 to 1, the first all black and the second all white."""
    size = SMALL_PX[architecture]
    images = np.random.default_rng(0).random((count, size, size, 3), dtype=np.float32)
    images[0], images[1] = 0, 1
    return images


def test_custom_cnn_has_the_published_parameters_when_built() -> None:
    model = build("custom_cnn", input_size_px=128)

    assert model.count_params() == 3_304_769
    assert model.input_shape == (None, 128, 128, 3)
    assert [type(layer).__name__ for layer in model.layers] == [
        *("Conv2D", "MaxPooling2D") * 3,
        *("Flatten", "Dense", "Dropout", "Dense"),
    ]
    assert [layer.filters for layer in model.layers[:6:2]] == [32, 64, 128]


@pytest.mark.parametrize(
    ("architecture", "backbone", "head"),
    [
        ("resnet50", 23_587_712, 2_049),
        ("vgg16", 14_714_688, 513),
        ("inception_v3", 21_802_784, 2_049),
        ("mobilenet_v2", 2_257_984, 1_281),
    ],
)
def test_transfer_network_has_the_published_parameters_when_built(
    architecture: str, backbone: int, head: int
) -> None:
    model = network(architecture)

    assert model.count_params() == backbone + head
    assert model.name == architecture
    assert tuple(layer.name for layer in model.layers[-3:]) == HEAD_LAYERS


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_answers_are_probabilities_when_a_network_sees_images(architecture: str) -> None:
    answers = np.asarray(network(architecture).predict_on_batch(noise(architecture)))

    assert answers.shape == (4, 1)
    assert answers.dtype == np.float32
    assert ((answers >= 0) & (answers <= 1)).all()


@pytest.mark.parametrize("outputs", [2, 7])
@pytest.mark.parametrize("architecture", ["custom_cnn", "vgg16"])
def test_answers_add_up_to_one_when_there_are_several_classes(architecture: str, outputs: int) -> None:
    model = build(architecture, input_size_px=32, outputs=outputs)

    answers = np.asarray(model.predict_on_batch(noise(architecture)))

    assert answers.shape == (4, outputs)
    assert (answers >= 0).all()
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("architecture", BACKBONES)
def test_backbone_sees_what_its_own_preprocessing_gives_when_pixels_are_0_to_1(architecture: str) -> None:
    model = network(architecture)
    first_of_backbone = model.layers[2]  # after the image and the range; the turned channels are no layer
    first_layers = keras.Model(model.inputs, first_of_backbone.input)
    images = noise(architecture)

    ours = np.asarray(first_layers.predict_on_batch(images))

    theirs = PREPROCESSING[architecture](images * 255)  # of the pixels as Keras reads files, 0 to 255
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("architecture", ["custom_cnn", "vgg16", "mobilenet_v2"])
def test_network_answers_the_same_when_saved_and_loaded_in_safe_mode(
    architecture: str, tmp_path: Path
) -> None:
    model, images = network(architecture), noise(architecture)
    model.save(tmp_path / "model.keras")

    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)

    assert loaded.name == architecture
    np.testing.assert_array_equal(loaded.predict_on_batch(images), model.predict_on_batch(images))


@pytest.mark.parametrize(
    ("architecture", "smallest"),
    [("custom_cnn", 22), ("resnet50", 32), ("vgg16", 32), ("inception_v3", 75), ("mobilenet_v2", 32)],
)
def test_network_is_refused_when_its_input_is_too_small(architecture: str, smallest: int) -> None:
    with pytest.raises(BenchError, match=f"{architecture} needs inputs of {smallest} px or more"):
        build(architecture, input_size_px=smallest - 1)


def test_custom_cnn_is_built_when_its_input_is_the_smallest() -> None:
    assert build("custom_cnn", input_size_px=22).get_layer("flatten").output.shape == (None, 128)


def test_network_is_refused_when_its_name_is_unknown() -> None:
    with pytest.raises(BenchError, match=r"'alexnet': choose one of custom_cnn, resnet50"):
        build("alexnet", input_size_px=64)


def test_dropout_is_as_configured_when_a_transfer_network_is_built() -> None:
    assert build("vgg16", input_size_px=32, dropout=0.4).get_layer("dropout").rate == 0.4
