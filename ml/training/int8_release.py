"""What a network loses and gains in int8, measured on labelled images as it would serve."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ml.inference import ModelManifest
from ml.inference.session import start_session
from ml.inference.views import mean_over_views, views_of
from ml.preprocessing import scale_pixels
from ml.training.errors import BenchError
from ml.training.measures import measure
from ml.training.onnx_timing import TIMED_THREADS, median_milliseconds
from ml.training.quantization import quantize

_MEGABYTE: Final = 1e6


@dataclass(frozen=True)
class LabelledPixels:
    """Images with their labels.

    Attributes:
        pixels: uint8 (images, size, size, 3), RGB.
        positive: bool (images,).
        groups: one an image.
    """

    pixels: NDArray[np.uint8]
    positive: NDArray[np.bool_]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Int8Images:
    """Images to make and to judge an int8 network with.

    Attributes:
        training: uint8 (images, size, size, 3), RGB: their activations set the ranges of the integers.
        validation: choose what stays in float32.
        test: judge both networks.
        test_title: what these are.
        seed: of the bootstrap.
    """

    training: NDArray[np.uint8]
    validation: LabelledPixels
    test: LabelledPixels
    test_title: str
    seed: int


def measure_int8(
    float_path: Path, int8_path: Path, images: Int8Images, *, manifest: ModelManifest, required: bool
) -> dict[str, Any]:
    """Make the int8 network and judge it beside the float32 one.

    Args:
        float_path: of the exported network.
        int8_path: to write.
        images: to make and judge it with.
        manifest: of the float32 network: views, calibration and threshold are applied to both.
        required: whether a network that loses too much is an error.

    Returns:
        For metrics.json: AUC, accuracy, sensitivity and specificity of both, milliseconds an image and view on
        one core, megabytes; or {"failed": why}.

    Raises:
        BenchError: it loses too much and is required.
    """
    network = _Network(float_path)
    reference = network.answers(images.validation.pixels, views=1)
    positive = images.validation.positive

    def auc_loss(path: Path) -> float:
        answers = _Network(path).answers(images.validation.pixels, views=1)
        return float(roc_auc_score(positive, reference) - roc_auc_score(positive, answers))

    try:
        made = quantize(float_path, int8_path, pixels=images.training, auc_loss=auc_loss)
    except BenchError as error:
        if required:
            raise
        return {"failed": str(error)}
    small = _Network(int8_path)
    answers = [one.answers(images.test.pixels, views=manifest.views) for one in (network, small)]
    served = [manifest.calibration.apply(one) for one in answers]
    measured = [
        measure(
            images.test.positive,
            one,
            images.test.groups,
            thresholds={"at_served": manifest.threshold},
            seed=images.seed,
        )
        for one in served
    ]
    full, reduced = measured
    return {
        "set": images.test_title,
        "images": len(images.test.positive),
        "auc_float32": full["auc"],
        "auc_int8": reduced["auc"],
        "auc_loss": round(full["auc"]["value"] - reduced["auc"]["value"], 4),
        "at_served_float32": full["at_served"],
        "at_served_int8": reduced["at_served"],
        "max_difference": round(float(np.max(np.abs(served[0] - served[1]))), 4),
        "mean_difference": round(float(np.mean(np.abs(served[0] - served[1]))), 4),
        "float_convolutions": made.float_convolutions,
        "convolutions": made.convolutions,
        "threads": TIMED_THREADS,
        "ms_float32": network.milliseconds(images.test.pixels[:1]),
        "ms_int8": small.milliseconds(images.test.pixels[:1]),
        "mb_float32": round(float_path.stat().st_size / _MEGABYTE, 2),
        "mb_int8": round(int8_path.stat().st_size / _MEGABYTE, 2),
    }


class _Network:
    """An ONNX file's probability, without a manifest."""

    def __init__(self, path: Path) -> None:
        self._session = start_session(path.read_bytes(), path, TIMED_THREADS)
        self._input = self._session.get_inputs()[0].name
        self._wanted = [self._session.get_outputs()[0].name]

    def answers(self, pixels: NDArray[np.uint8], *, views: int) -> NDArray[np.float64]:
        """Mean probability over the views, float64 (images,)."""
        answers = []
        for index in range(len(pixels)):
            inputs = scale_pixels(views_of(pixels[index : index + 1], views))
            (output,) = self._session.run(self._wanted, {self._input: inputs})
            answers.append(mean_over_views(np.asarray(output)[:, 0], views))
        return np.concatenate(answers)

    def milliseconds(self, pixels: NDArray[np.uint8]) -> float:
        """Median time of one image and view."""
        return median_milliseconds(self._session, scale_pixels(pixels))
