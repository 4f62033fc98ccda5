"""A network starts from the weights it was told to, or is refused in one line; and a phase trains its layers only."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import (
    legacy_h5_format,
)  # Keras writes this form no more, but offers it for download

from ml.training.architectures import BACKBONES, build
from ml.training.config import TrainingConfig
from ml.training.errors import BenchError
from ml.training.start_weights import (
    backbone_layers,
    build_with_start_weights,
    choose_trained_layers,
    describe_weights,
)


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    """The backbone of keras.applications at an input size of its own, with random weights."""
    keras.utils.set_random_seed(11)
    return keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(64, 64, 3))


@pytest.fixture(scope="module")
def mobilenet_file(mobilenet: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    mobilenet.save_weights(path)
    return path


@pytest.fixture
def transfer_config(tiny_config: TrainingConfig) -> TrainingConfig:
    """MobileNetV2 from a file."""
    return replace(tiny_config, architecture="mobilenet_v2", weights="sha256:of-the-file")


@pytest.fixture
def small_file(small_backbone: None, tmp_path: Path) -> Path:
    """Weights of the small backbone that stands in for MobileNetV2."""
    path = tmp_path / "small.weights.h5"
    BACKBONES["mobilenet_v2"].build(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(
        path
    )
    return path


def saved(tmp_path: Path, architecture: str, **options: int) -> tuple[keras.Model, Path]:
    """A network with random weights of its own, and its file."""
    keras.utils.set_random_seed(12)
    model = build(architecture, **{"input_size_px": 48, **options})
    model.save(tmp_path / "start.keras")
    return model, tmp_path / "start.keras"


def weights_of(layers: list[keras.layers.Layer]) -> list[np.ndarray]:
    return [value for layer in layers for value in layer.get_weights()]


def assert_same_weights(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    assert len(ours) == len(theirs) > 0
    assert all(np.array_equal(left, right) for left, right in zip(ours, theirs, strict=True))


def test_start_is_random_when_no_weights_are_wanted(tiny_config: TrainingConfig) -> None:
    keras.utils.set_random_seed(1)
    first = build_with_start_weights(tiny_config, None)
    keras.utils.set_random_seed(1)
    again = build_with_start_weights(tiny_config, None)

    assert_same_weights(first.get_weights(), again.get_weights())
    assert not np.array_equal(
        first.get_weights()[0], build_with_start_weights(tiny_config, None).get_weights()[0]
    )


@pytest.mark.parametrize("legacy", [False, True], ids=["weights.h5", "h5"])
def test_backbone_gives_the_features_of_keras_applications_when_its_file_is_loaded(
    mobilenet: keras.Model,
    mobilenet_file: Path,
    transfer_config: TrainingConfig,
    tmp_path: Path,
    legacy: bool,
) -> None:
    path = mobilenet_file
    if legacy:  # as Keras offers its ImageNet weights for download
        path = tmp_path / "mobilenet_notop.h5"
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, mobilenet)

    model = build_with_start_weights(transfer_config, path)

    assert_same_weights(weights_of(backbone_layers(model)), mobilenet.get_weights())
    pixels = np.random.default_rng(2).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    features = keras.Model(model.inputs[0], model.get_layer("pool").output)
    reference = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    reference.set_weights(mobilenet.get_weights())
    theirs = reference(keras.applications.mobilenet_v2.preprocess_input(pixels.copy()), training=False)
    np.testing.assert_allclose(
        np.asarray(features(pixels / 255, training=False)),
        np.asarray(theirs).mean(axis=(1, 2)),
        rtol=1e-3,
        atol=1e-5,
    )


def one_line(refusal: pytest.ExceptionInfo[BenchError]) -> bool:
    return "\n" not in str(refusal.value)


def test_weights_are_refused_when_they_are_of_another_network(
    mobilenet_file: Path, transfer_config: TrainingConfig
) -> None:
    config = replace(transfer_config, architecture="vgg16")

    with pytest.raises(
        BenchError, match="does not hold the weights of vgg16 without its classifier"
    ) as refusal:
        build_with_start_weights(config, mobilenet_file)
    assert one_line(refusal)


def test_weights_are_refused_when_they_are_of_a_wider_mobilenet(
    transfer_config: TrainingConfig, tmp_path: Path
) -> None:
    wider = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), alpha=1.3
    )
    wider.save_weights(tmp_path / "wider.weights.h5")

    with pytest.raises(BenchError, match="does not hold the weights of mobilenet_v2") as refusal:
        build_with_start_weights(transfer_config, tmp_path / "wider.weights.h5")
    assert one_line(refusal)


def cut_short(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(_: bytes) -> bytes:
    return b""


def other_bytes_inside(content: bytes) -> bytes:
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(255 - byte for byte in content[middle : middle + 2000])
        + content[middle + 2000 :]
    )


@pytest.mark.parametrize("damage", [cut_short, empty])
def test_weights_are_refused_when_their_file_is_damaged(
    small_file: Path, transfer_config: TrainingConfig, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "damaged.weights.h5"
    path.write_bytes(damage(small_file.read_bytes()))

    with pytest.raises(BenchError, match=r"damaged\.weights\.h5 does not hold the weights") as refusal:
        build_with_start_weights(transfer_config, path)
    assert one_line(refusal)


@pytest.mark.parametrize("name", ["missing.weights.h5", "missing.h5", "missing.txt", "missing.keras"])
def test_weights_are_refused_when_their_file_is_missing(
    small_backbone: None, transfer_config: TrainingConfig, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BenchError, match=name) as refusal:
        build_with_start_weights(transfer_config, tmp_path / name)
    assert one_line(refusal)


def test_weights_are_refused_when_no_file_is_named(
    small_backbone: None, transfer_config: TrainingConfig
) -> None:
    with pytest.raises(BenchError, match="name it with --weights FILE"):
        build_with_start_weights(transfer_config, None)


@pytest.mark.parametrize("damage", [cut_short, empty, other_bytes_inside])
def test_network_is_refused_when_its_file_is_damaged(
    tiny_config: TrainingConfig, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    _, path = saved(tmp_path, "custom_cnn", input_size_px=32)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(BenchError, match=r"start\.keras cannot be loaded") as refusal:
        build_with_start_weights(replace(tiny_config, weights="sha256:0"), path)
    assert one_line(refusal)


def test_network_is_refused_when_its_archive_holds_something_else(
    tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    path = tmp_path / "start.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "no network")

    with pytest.raises(BenchError, match=r"start\.keras cannot be loaded") as refusal:
        build_with_start_weights(replace(tiny_config, weights="sha256:0"), path)
    assert one_line(refusal)


def test_network_is_refused_when_its_file_would_run_code(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    path = tmp_path / "start.keras"
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Lambda(lambda values: values + 1)(inputs), name="custom_cnn").save(path)

    with pytest.raises(BenchError, match=r"start\.keras cannot be loaded"):
        build_with_start_weights(replace(tiny_config, weights="sha256:0"), path)


def test_network_is_refused_when_it_names_code_from_outside(
    tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    """The configuration names a class that is no layer, as a file from outside may."""
    path, trace = tmp_path / "elsewhere.keras", tmp_path / "trace"
    inputs = keras.Input((4, 4, 3))
    keras.Model(inputs, keras.layers.Flatten()(inputs), name="custom_cnn").save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    network = json.loads(contents["config.json"])
    network["config"]["layers"][1] |= {
        "module": "subprocess",
        "class_name": "Popen",
        "config": {"args": ["touch", str(trace)]},
        "registered_name": None,
    }
    contents["config.json"] = json.dumps(network).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)

    with pytest.raises(BenchError, match=r"elsewhere\.keras cannot be loaded"):
        build_with_start_weights(replace(tiny_config, weights="sha256:0"), path)

    assert not trace.exists()


def test_file_is_refused_when_it_holds_a_whole_model_in_hdf5(
    transfer_config: TrainingConfig, tmp_path: Path
) -> None:
    path = tmp_path / "whole.h5"
    inputs = keras.Input((4, 4, 3))
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save(path)

    with pytest.raises(BenchError, match=r"whole\.h5 holds a whole model"):
        build_with_start_weights(replace(transfer_config, weights="sha256:0"), path)


def test_network_is_refused_when_it_is_of_another_architecture(
    small_backbone: None, transfer_config: TrainingConfig, tmp_path: Path
) -> None:
    _, path = saved(tmp_path, "custom_cnn")

    with pytest.raises(BenchError, match="holds a custom_cnn, not a mobilenet_v2"):
        build_with_start_weights(transfer_config, path)


def test_network_is_taken_over_with_its_head_when_its_input_size_differs(
    small_backbone: None, transfer_config: TrainingConfig, tmp_path: Path
) -> None:
    start, path = saved(tmp_path, "mobilenet_v2")

    model = build_with_start_weights(transfer_config, path)

    assert model.input_shape == (None, 32, 32, 3)
    assert_same_weights(model.get_weights(), start.get_weights())


def test_backbone_alone_is_taken_over_when_the_number_of_classes_differs(
    small_backbone: None, transfer_config: TrainingConfig, tmp_path: Path
) -> None:
    start, path = saved(tmp_path, "mobilenet_v2", outputs=7)

    model = build_with_start_weights(transfer_config, path)

    assert model.output_shape == (None, 1)
    assert_same_weights(weights_of(backbone_layers(model)), weights_of(backbone_layers(start)))


def test_custom_cnn_is_taken_over_whole_when_it_fits(tiny_config: TrainingConfig, tmp_path: Path) -> None:
    start, path = saved(tmp_path, "custom_cnn", input_size_px=32)

    model = build_with_start_weights(replace(tiny_config, weights="sha256:0"), path)

    assert_same_weights(model.get_weights(), start.get_weights())


@pytest.mark.parametrize("options", [{"input_size_px": 48}, {"input_size_px": 32, "outputs": 2}], ids=str)
def test_custom_cnn_is_refused_when_its_size_or_classes_differ(
    tiny_config: TrainingConfig, tmp_path: Path, options: dict[str, int]
) -> None:
    _, path = saved(tmp_path, "custom_cnn", **options)

    with pytest.raises(BenchError, match="of another input size or number of classes"):
        build_with_start_weights(replace(tiny_config, weights="sha256:0"), path)


@pytest.mark.parametrize(
    "failure",
    [
        # What keras.utils.get_file raises without a network.
        Exception(
            "URL fetch failure on https://storage.googleapis.com/x.h5: None -- [Errno -2] Name not known"
        ),
        TimeoutError(),
    ],
    ids=["offline", "without a message"],
)
def test_imagenet_is_refused_in_one_line_when_it_cannot_be_downloaded(
    tiny_config: TrainingConfig, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def offline(**options: object) -> keras.Model:
        assert options["weights"] == "imagenet"
        raise failure

    monkeypatch.setitem(BACKBONES, "mobilenet_v2", replace(BACKBONES["mobilenet_v2"], build=offline))
    # The run's own network is built without a download.
    monkeypatch.setattr("ml.training.start_weights.build", lambda *names, **options: None)
    config = replace(tiny_config, architecture="mobilenet_v2", weights="imagenet")

    with pytest.raises(
        BenchError, match=r"cannot be downloaded .*: go online, give --weights FILE"
    ) as refusal:
        build_with_start_weights(config, None)
    assert one_line(refusal)


def test_imagenet_weights_are_taken_when_they_can_be_downloaded(
    small_backbone: None, tiny_config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = BACKBONES["mobilenet_v2"].build
    downloaded = real(include_top=False, weights=None, input_shape=(224, 224, 3))

    def online(*, weights: str | None, **options: object) -> keras.Model:
        return downloaded if weights == "imagenet" else real(weights=None, **options)

    monkeypatch.setitem(BACKBONES, "mobilenet_v2", replace(BACKBONES["mobilenet_v2"], build=online))
    config = replace(tiny_config, architecture="mobilenet_v2", weights="imagenet")

    model = build_with_start_weights(config, None)

    assert_same_weights(weights_of(backbone_layers(model)), downloaded.get_weights())


@pytest.mark.parametrize("weights", ["imagenet", "sha256:0"])
def test_custom_cnn_is_refused_when_it_is_to_start_from_a_backbone(
    tiny_config: TrainingConfig, small_file: Path, weights: str
) -> None:
    with pytest.raises(BenchError, match="no such start weights for custom_cnn"):
        build_with_start_weights(replace(tiny_config, weights=weights), small_file)


def test_weights_are_named_by_their_content_when_described(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"abc")

    # The digest of "abc" is a test vector of FIPS 180-4.
    assert describe_weights(tmp_path / "w.h5") == (
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    with pytest.raises(BenchError, match=r"x\.h5: the file cannot be read \(No such file"):
        describe_weights(tmp_path / "x.h5")


@pytest.fixture(scope="module")
def vgg16() -> keras.Model:
    """A transfer network whose layers the tests below freeze."""
    return build("vgg16", input_size_px=32)


def trained(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers if layer.trainable_weights]


def test_backbone_is_frozen_when_the_head_alone_is_trained(vgg16: keras.Model) -> None:
    choose_trained_layers(vgg16, head_only=True, fine_tune_from="block5_conv2")

    assert trained(vgg16) == ["probability"]


def test_layers_before_are_frozen_when_fine_tuning_starts_at_one(vgg16: keras.Model) -> None:
    choose_trained_layers(vgg16, head_only=False, fine_tune_from="block5_conv2")

    assert trained(vgg16) == ["block5_conv2", "block5_conv3", "probability"]


def test_all_layers_are_trained_when_fine_tuning_starts_nowhere(vgg16: keras.Model) -> None:
    choose_trained_layers(vgg16, head_only=True, fine_tune_from="")
    choose_trained_layers(vgg16, head_only=False, fine_tune_from="")

    assert len(trained(vgg16)) == 14


@pytest.mark.parametrize("name", ["block9", "pool"])
def test_fine_tuning_is_refused_with_the_names_when_a_layer_is_unknown(vgg16: keras.Model, name: str) -> None:
    message = f"vgg16 has no layer '{name}' .*block1_conv1, .*block5_pool"
    with pytest.raises(BenchError, match=message) as refusal:
        choose_trained_layers(vgg16, head_only=False, fine_tune_from=name)
    assert one_line(refusal)


@pytest.mark.parametrize(("head_only", "fine_tune_from"), [(True, ""), (False, "conv_2")])
def test_phases_are_refused_when_the_network_has_no_backbone(head_only: bool, fine_tune_from: str) -> None:
    model = build("custom_cnn", input_size_px=32)

    with pytest.raises(
        BenchError, match="custom_cnn has no backbone: head_epochs and fine_tune_from are for"
    ):
        choose_trained_layers(model, head_only=head_only, fine_tune_from=fine_tune_from)
    choose_trained_layers(model, head_only=False, fine_tune_from="")
    assert len(trained(model)) == 5
