"""What a network starts from: random numbers, ImageNet, or a file; and which of its layers are trained."""

import hashlib
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import h5py  # type: ignore[import-untyped]  # it has no types
import keras
from google.protobuf.message import DecodeError

from ml.training.architectures import BACKBONES, CUSTOM_CNN, HEAD_LAYERS, build
from ml.training.config import IMAGENET_WEIGHTS, NO_WEIGHTS, TrainingConfig
from ml.training.errors import BenchError
from ml.training.tasks import count_outputs

_FILE_SIZE_PX: Final = (
    224  # the size at which files of backbone weights are made; their shapes do not depend on it
)

UNREADABLE: Final = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    UserWarning,
)
"""What Keras and h5py raise for files that are damaged or hold something else."""


def describe_weights(path: Path) -> str:
    """How a configuration names a file of weights.

    Raises:
        BenchError: it cannot be read.
    """
    try:
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError as error:
        raise BenchError(
            f"--weights {path}: the file cannot be read ({error.strerror}): give imagenet, none or a file"
        ) from error


def build_with_start_weights(config: TrainingConfig, weights_file: Path | None) -> keras.Model:
    """Build a run's network with the weights its configuration starts from.

    Args:
        config: of the run.
        weights_file: a network saved by this bench (.keras), of the same architecture, whose head is taken
            over where it fits; a released custom CNN (.onnx); or a backbone's weights as Keras saves them
            (.weights.h5, .h5).

    Raises:
        BenchError: the weights are of another network, damaged, missing or cannot be downloaded.
    """
    model = build(
        config.architecture,
        input_size_px=config.input_size_px,
        outputs=count_outputs(config),
        dropout=config.dropout,
    )
    if config.weights == NO_WEIGHTS:
        return model
    if config.weights == IMAGENET_WEIGHTS:
        _copy(_download_imagenet(config.architecture).layers, model)
    elif weights_file is None:
        raise BenchError(f"{config.name} starts from a file: name it with --weights FILE")
    elif weights_file.suffix == ".keras":
        _copy_network(_load_network(weights_file), weights_file, model)
    elif weights_file.suffix == ".onnx":
        _copy_network(_read_released(config.architecture, weights_file), weights_file, model)
    else:
        _copy(_read_backbone(config.architecture, weights_file).layers, model)
    return model


def backbone_layers(model: keras.Model) -> "list[keras.layers.Layer]":
    """The layers before the head; of the custom CNN, which is trained as a whole, none."""
    return (
        [layer for layer in model.layers if layer.name not in HEAD_LAYERS] if model.name in BACKBONES else []
    )


def choose_trained_layers(model: keras.Model, *, head_only: bool, fine_tune_from: str) -> None:
    """Freeze what is not trained in a phase; frozen batch normalisation keeps its statistics, too.

    Args:
        model: not yet compiled, or to be compiled again.
        head_only: train the layers after the backbone alone.
        fine_tune_from: otherwise the first backbone layer that is trained; empty: all are.

    Raises:
        BenchError: the backbone has no layer of that name, or there is no backbone to freeze.
    """
    backbone = backbone_layers(model)
    names = [layer.name for layer in backbone]
    if not backbone and (head_only or fine_tune_from):
        raise BenchError(
            f"{model.name} has no backbone: head_epochs and fine_tune_from are for {', '.join(BACKBONES)}"
        )
    if fine_tune_from and fine_tune_from not in names:
        raise BenchError(
            f"{model.name} has no layer {fine_tune_from!r} to fine-tune from; its layers are {', '.join(names)}"
        )
    first = len(backbone) if head_only else names.index(fine_tune_from) if fine_tune_from else 0
    for index, layer in enumerate(backbone):
        layer.trainable = index >= first


def first_line(error: BaseException) -> str:
    """What an error says in one line; its kind, where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _require_backbone(architecture: str) -> None:
    if architecture not in BACKBONES:
        raise BenchError(
            f"there are no such start weights for {architecture}: give none, or a .keras file of its own"
        )


def _download_imagenet(architecture: str) -> keras.Model:
    _require_backbone(architecture)
    shape = (_FILE_SIZE_PX, _FILE_SIZE_PX, 3)
    try:
        return BACKBONES[architecture].build(include_top=False, weights="imagenet", input_shape=shape)
    except Exception as error:  # Keras' downloader passes on whatever urllib raises, or a bare Exception
        raise BenchError(
            f"the ImageNet weights of {architecture} cannot be downloaded ({first_line(error)}): "
            "go online, give --weights FILE, or start from --weights none"
        ) from error


def _read_backbone(architecture: str, path: Path) -> keras.Model:
    _require_backbone(architecture)
    shape = (_FILE_SIZE_PX, _FILE_SIZE_PX, 3)
    backbone = BACKBONES[architecture].build(include_top=False, weights=None, input_shape=shape)
    try:
        if _holds_whole_model(path):
            raise BenchError(
                f"{path} holds a whole model, not weights alone: such files can run code of their own when they are "
                "read, so none is. Give the weights alone, or a .keras file"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # that Keras left layers as they were
            backbone.load_weights(path)
    except UNREADABLE as error:
        raise BenchError(
            f"{path} does not hold the weights of {architecture} without its classifier "
            f"({first_line(error)}): give the file that fits"
        ) from error
    return backbone


def _holds_whole_model(path: Path) -> bool:
    """Whether an HDF5 file describes a network, as `model.save("x.h5")` wrote it, beside its weights."""
    with h5py.File(path) as file:
        return "model_config" in file.attrs


def _load_network(path: Path) -> keras.Model:
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except UNREADABLE as error:
        raise BenchError(
            f"{path} cannot be loaded ({first_line(error)}): give a file that is whole"
        ) from error


def _read_released(architecture: str, path: Path) -> keras.Model:
    if architecture != CUSTOM_CNN:
        raise BenchError(
            f"{path} cannot be trained further: only a released {CUSTOM_CNN} can, for its file holds the weights as "
            "they were trained; give a .keras file"
        )
    from ml.training.onnx_models import keras_model_from_onnx  # TensorFlow's; other backends train without it

    try:
        return keras_model_from_onnx(path, architecture=architecture)
    except (*UNREADABLE, DecodeError) as error:
        raise BenchError(
            f"{path} cannot be loaded ({first_line(error)}): give a file that is whole"
        ) from error


def _copy_network(found: keras.Model, path: Path, model: keras.Model) -> None:
    if found.name != model.name:
        raise BenchError(f"{path} holds a {found.name}, not a {model.name}: give the file of that network")
    if _shapes(found.layers) == _shapes(model.layers):
        model.set_weights(found.get_weights())
    elif model.name in BACKBONES:
        _copy(backbone_layers(found), model)
    else:
        raise BenchError(
            f"{path} holds a {found.name} of another input size or number of classes: give one that fits"
        )


def _copy(layers: "Sequence[keras.layers.Layer]", model: keras.Model) -> None:
    """Copy the weights of a backbone's layers in their order: Keras numbers unnamed layers anew each time."""
    theirs = [layer for layer in layers if layer.weights]
    ours = [layer for layer in backbone_layers(model) if layer.weights]
    if _shapes(theirs) != _shapes(ours):
        raise BenchError(f"the weights do not fit {model.name}: they are of another network")
    for target, source in zip(ours, theirs, strict=True):
        target.set_weights(source.get_weights())


def _shapes(layers: "Sequence[keras.layers.Layer]") -> "list[tuple[int, ...]]":
    return [tuple(weight.shape) for layer in layers for weight in layer.weights]
