"""Networks in 8-bit integers: smaller and faster, and released only with what they lose on labelled images."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx.utils
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from ml.preprocessing import scale_pixels
from ml.training.errors import BenchError

CALIBRATION_IMAGES: Final = 200
MAX_AUC_LOSS: Final = 0.001
"""On validation images, while choosing what stays in float32; the loss on test images is then reported."""
_KEPT_STEPS: Final = (0, 4, 8, 12, 16, 24, 32, 40)


@dataclass(frozen=True)
class Quantized:
    """What became of a network.

    Attributes:
        float_convolutions: how many of the first convolutions stay in float32.
        convolutions: all of them.
    """

    float_convolutions: int
    convolutions: int


class _Pixels(CalibrationDataReader):
    """Training images one by one: their activations set the ranges of the integers."""

    def __init__(self, pixels: NDArray[np.uint8], input_name: str) -> None:
        self._inputs: Iterator[dict[str, NDArray[np.float32]]] = (
            {input_name: scale_pixels(pixels[index : index + 1])} for index in range(len(pixels))
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, or None after the last."""
        return next(self._inputs, None)


def quantize(
    float_path: Path, int8_path: Path, *, pixels: NDArray[np.uint8], auc_loss: Callable[[Path], float]
) -> Quantized:
    """Write an int8 copy of a network: per-channel weights and activations of its convolutions and dense layers.

    The last layer stays in float32. So do as many of the first convolutions (whose activations span the widest
    ranges) as are needed for the copy to lose no more than `MAX_AUC_LOSS` on validation images.

    Args:
        float_path: written by `ml.training.onnx_models.write_onnx`.
        int8_path: to write; it has the probability as its only output.
        pixels: uint8 (images, size, size, 3), RGB, of the training part, to set the ranges by.
        auc_loss: AUC that a file loses against the float32 network, on validation images.

    Returns:
        What was done.

    Raises:
        BenchError: no choice loses little enough; nothing is written then.
    """
    losses = []
    with tempfile.TemporaryDirectory() as folder:
        plain, ready, candidate = (Path(folder) / f"{name}.onnx" for name in ("plain", "ready", "candidate"))
        whole = onnx.load(float_path).graph
        onnx.utils.extract_model(float_path, plain, [whole.input[0].name], [whole.output[0].name])
        # Symbolic shapes need a package more and tell nothing here: only the batch is free.
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        graph = onnx.load(ready).graph
        convolutions = [index for index, node in enumerate(graph.node) if node.op_type == "Conv"]
        for kept in [step for step in _KEPT_STEPS if step < len(convolutions)]:
            _quantize_all_but(ready, candidate, _kept_nodes(graph, convolutions[kept]), pixels)
            losses.append(auc_loss(candidate))
            if losses[-1] <= MAX_AUC_LOSS:
                int8_path.write_bytes(candidate.read_bytes())
                return Quantized(float_convolutions=kept, convolutions=len(convolutions))
    raise BenchError(
        f"int8 loses {min(losses):.4f} of the AUC on validation images at best, more than {MAX_AUC_LOSS}: "
        "release the network in float32"
    )


def _kept_nodes(graph: onnx.GraphProto, first_quantized: int) -> list[str]:
    """Names of the nodes before the first convolution to quantize, and of the last dense layer."""
    last = [node.name for node in graph.node if node.op_type in ("MatMul", "Gemm")][-1:]
    return [node.name for node in graph.node[:first_quantized]] + last


def _quantize_all_but(source: Path, target: Path, kept: list[str], pixels: NDArray[np.uint8]) -> None:
    options: dict[str, Any] = {
        "quant_format": QuantFormat.QDQ,
        "op_types_to_quantize": ["Conv", "MatMul", "Gemm"],
        "nodes_to_exclude": kept,
        "per_channel": True,
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QInt8,
        "calibrate_method": CalibrationMethod.MinMax,
    }
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # the library advises on the root logger what has just been done
    try:
        quantize_static(source, target, _Pixels(pixels, onnx.load(source).graph.input[0].name), **options)
    finally:
        logger.setLevel(level)
