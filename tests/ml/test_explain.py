"""Heat maps: the closed-form gradients are those of automatic differentiation, and the map lies where it belongs."""

import shutil
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.inference import decode_image, find_released_model
from ml.inference.explain import HeatMapMethod, class_activation_map, overlay_heat_map
from ml.inference.session import start_session
from ml.preprocessing import to_network_input, to_network_pixels
from ml.training.explanation_outputs import add_explanation_outputs
from ml.training.onnx_models import keras_model_from_onnx, write_onnx
from tests.ml.drawn_lesions import draw_lesion

RELEASED = find_released_model("custom_cnn")
NAMES = ["feature_maps", "feature_gradients"]
TOLERANCE = 1e-3
"""Of the largest value. Both sides compute in float32 and sum in another order, which alone gives some 1e-6."""

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return start_session(path.read_bytes(), path, 1)


def explain(path: Path, pixels: NDArray[np.float32]) -> Arrays:
    maps, gradients = session_of(path).run(NAMES, {"image": pixels})
    return maps, gradients


def keras_explain(model: keras.Model, pixels: NDArray[np.float32], first_of_head: str) -> Arrays:
    """The same from Keras: the maps that enter the head, and the gradient by automatic differentiation."""
    import tensorflow as tf

    names = [layer.name for layer in model.layers]
    *head, last = model.layers[names.index(first_of_head) :]
    maps = keras.Model(model.inputs[0], model.get_layer(first_of_head).input)(pixels)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        values = maps
        for layer in head:
            values = layer(values, training=False)
        logit = values @ last.kernel + last.bias
    return maps.numpy(), tape.gradient(logit, maps).numpy()


def assert_close(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE * float(np.abs(theirs).max()))


@pytest.fixture(scope="module")
def pictures(real_images: list[Path]) -> list[Image.Image]:
    if real_images:
        return [decode_image(path.read_bytes()) for path in real_images]
    return [draw_lesion(malignant=seed % 2 == 0, seed=seed, side_px=128) for seed in range(24)]


@pytest.fixture(scope="module")
def flattened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released network, whose head is Flatten and two dense layers."""
    path = tmp_path_factory.mktemp("flattened") / "model.onnx"
    shutil.copyfile(RELEASED / "model.onnx", path)
    add_explanation_outputs(path)
    return path


@pytest.fixture(scope="module")
def pooled_keras() -> keras.Model:
    keras.utils.set_random_seed(5)
    image = keras.Input((64, 64, 3), name="image")
    features = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_tensor=image, alpha=0.35
    ).output
    values = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    values = keras.layers.Dropout(0.2, name="dropout")(values)
    model = keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="probability")(values))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # untrained, it lets the values fade to 1e-11
            layer.gamma.assign(2 * layer.gamma)
    return model


@pytest.fixture(scope="module")
def pooled(pooled_keras: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pooled") / "model.onnx"
    write_onnx(pooled_keras, path)
    return path


def test_explanation_is_keras_own_when_head_is_flattened(
    flattened: Path, pictures: list[Image.Image]
) -> None:
    model = keras_model_from_onnx(flattened, architecture="custom_cnn")
    pixels = np.stack([to_network_input(picture, size_px=128) for picture in pictures])

    maps, gradients = explain(flattened, pixels)

    their_maps, their_gradients = keras_explain(model, pixels, "flatten")
    assert_close(maps, their_maps)
    assert_close(gradients, their_gradients)
    for method in HeatMapMethod:
        for one in range(len(pictures)):
            ours = class_activation_map(maps[one : one + 1], gradients[one : one + 1], method=method)
            theirs = class_activation_map(
                their_maps[one : one + 1], their_gradients[one : one + 1], method=method
            )
            assert_close(ours, theirs)


def test_explanation_is_keras_own_when_head_is_pooled(
    pooled: Path, pooled_keras: keras.Model, pictures: list[Image.Image]
) -> None:
    pixels = np.stack([to_network_input(picture, size_px=64) for picture in pictures[:8]])

    maps, gradients = explain(pooled, pixels)

    their_maps, their_gradients = keras_explain(pooled_keras, pixels, "pool")
    assert np.ptp(their_maps) > 1e-3
    assert_close(maps, their_maps)
    assert_close(gradients, their_gradients)


def test_network_is_rebuilt_whole_when_file_has_explanation_outputs(flattened: Path) -> None:
    plain = keras_model_from_onnx(RELEASED / "model.onnx", architecture="custom_cnn")

    for ours, theirs in zip(
        keras_model_from_onnx(flattened, architecture="custom_cnn").weights, plain.weights, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_probability_is_the_same_to_the_bit_when_outputs_are_added(
    flattened: Path, pictures: list[Image.Image]
) -> None:
    before, after = session_of(RELEASED / "model.onnx"), session_of(flattened)
    name = before.get_outputs()[0].name

    for picture in pictures:
        feed = {"image": to_network_input(picture, size_px=128)[np.newaxis]}
        assert after.run([name], feed)[0].tobytes() == before.run(None, feed)[0].tobytes()


def test_file_grows_by_less_than_a_hundredth_when_outputs_are_added(flattened: Path) -> None:
    assert flattened.stat().st_size < 1.01 * (RELEASED / "model.onnx").stat().st_size


def test_file_is_left_alone_when_it_has_the_outputs(flattened: Path) -> None:
    before = flattened.read_bytes()

    add_explanation_outputs(flattened)

    assert flattened.read_bytes() == before


def arrays(maps: list[list[list[float]]], gradients: list[list[list[float]]]) -> Arrays:
    return np.array([maps], dtype=np.float32), np.array([gradients], dtype=np.float32)


def test_methods_differ_as_published_when_gradients_change_over_the_picture() -> None:
    maps, gradients = arrays([[[1, 2], [2, 0]]], [[[1, -1], [3, 1]]])

    # Channel means of the gradients: 2 and 0. Places: 1*2 + 2*0 and 2*2 + 0*0; 1*1 - 2*1 < 0 and 2*3 + 0*1.
    np.testing.assert_allclose(
        class_activation_map(maps, gradients, method=HeatMapMethod.GRAD_CAM), [[0.5, 1]]
    )
    np.testing.assert_allclose(
        class_activation_map(maps, gradients, method=HeatMapMethod.HIRES_CAM), [[0, 1]]
    )


@pytest.mark.parametrize("method", HeatMapMethod)
def test_map_is_zero_when_nothing_speaks_for_malignancy(method: HeatMapMethod) -> None:
    maps, gradients = arrays([[[1, 2], [2, 0]]], [[[-1, -1], [-3, 0]]])

    np.testing.assert_array_equal(class_activation_map(maps, gradients, method=method), [[0, 0]])


@pytest.mark.parametrize(
    ("maps", "gradients"),
    [((2, 3, 3, 4), (2, 3, 3, 4)), ((1, 3, 3, 4), (1, 3, 3, 5)), ((3, 3, 4), (3, 3, 4))],
)
def test_map_is_refused_when_arrays_are_not_of_one_picture(
    maps: tuple[int, ...], gradients: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="feature maps and gradients"):
        class_activation_map(
            np.ones(maps, np.float32), np.ones(gradients, np.float32), method=HeatMapMethod.GRAD_CAM
        )


GREY = 120


@pytest.mark.parametrize("size", [(90, 40), (91, 40), (40, 91), (64, 64)])
def test_overlay_covers_what_the_network_was_shown_when_image_has_any_shape(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (GREY, GREY, GREY))

    laid = np.asarray(overlay_heat_map(image, np.zeros((7, 7), np.float32)))

    assert laid.shape == (size[1], size[0], 3)
    side = min(size)
    shown = to_network_pixels(Image.fromarray(laid), size_px=side)
    assert (shown == GREY).all()
    assert (laid == GREY).all(axis=2).sum() == side * side
    assert (laid[(laid != GREY).any(axis=2)] < GREY / 2).all()


def test_overlay_is_strongest_at_its_place_when_map_has_one_corner() -> None:
    image = Image.new("RGB", (120, 60), (GREY, GREY, GREY))
    activation = np.zeros((6, 6), np.float32)
    activation[0, 5] = 1

    laid = np.asarray(overlay_heat_map(image, activation), dtype=int)

    assert laid[0, 89].tolist() == [round(0.4 * GREY + 0.6 * part) for part in (253, 231, 37)]
    assert (laid[30:, 30:90] == GREY).all()
    assert (laid[:, 30:60] == GREY).all()


def test_overlay_grows_lighter_when_activation_rises() -> None:
    steps = np.linspace(0, 1, 64, dtype=np.float32)[np.newaxis].repeat(64, axis=0)

    laid = np.asarray(overlay_heat_map(Image.new("RGB", (64, 64)), steps).convert("L"), dtype=int)[0]

    assert (np.diff(laid) >= 0).all()
    assert laid[-1] > 100


@pytest.mark.parametrize(("mode", "shape"), [("L", (3, 3)), ("RGB", (3, 3, 1))])
def test_overlay_is_refused_when_image_or_map_is_another(mode: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected an RGB image"):
        overlay_heat_map(Image.new(mode, (9, 9)), np.zeros(shape, np.float32))
