"""The ONNX Runtime session of a released model.

Only loaded when the first model is: importing ONNX Runtime starts threads, which do not survive the fork by which web
servers make their workers.
"""

import ctypes
from pathlib import Path
from typing import Final

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ml.inference.explain import FEATURE_GRADIENTS, FEATURE_MAPS
from ml.inference.manifest import ModelIntegrityError, ModelManifest

_LOG_FATAL_ONLY: Final = 4
_NOT_A_MODEL: Final = (
    ort_errors.InvalidProtobuf,
    ort_errors.InvalidGraph,
    ort_errors.InvalidArgument,
    ort_errors.NotImplemented,
    ort_errors.Fail,
    ort_errors.RuntimeException,
)


def start_session(
    content: bytes, path: Path, threads: int, *, keeps_memory: bool = False
) -> onnxruntime.InferenceSession:
    """Start a session on the CPU.

    Args:
        content: the bytes of an ONNX file.
        path: where they come from, for the message.
        threads: cores one run may use.
        keeps_memory: hold on to what a run needed, for the next one.

    Raises:
        ModelIntegrityError: they are no model that this ONNX Runtime can run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_FATAL_ONLY
    # Spinning threads win a fraction of a millisecond and take a whole core from the other web processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The arena would keep what one answer needed for ever; an answer of two views takes about as long without it.
    options.enable_cpu_mem_arena = keeps_memory
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _NOT_A_MODEL as error:
        raise ModelIntegrityError(
            f"{path} is no model that ONNX Runtime {onnxruntime.__version__} can run: export it again."
        ) from error
    _give_back_memory()
    return session


def _give_back_memory() -> None:
    """Hand back what loading needed: several copies of the weights, which glibc would keep for the process."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def check_shapes(session: onnxruntime.InferenceSession, manifest: ModelManifest, path: Path) -> None:
    """Refuse a network whose input or output is not what its manifest says.

    After the probability it may give the two outputs that a heat map is made of, or nothing.

    Raises:
        ModelIntegrityError: it takes or gives something else.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    expected = [manifest.input_size_px, manifest.input_size_px, 3]
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or list(inputs[0].shape[1:]) != expected:
        raise ModelIntegrityError(
            f"{path} does not take float images of {manifest.input_size_px}x{manifest.input_size_px}x3 "
            "as its manifest says: export it again."
        )
    if not outputs or list(outputs[0].shape[1:]) != [1]:
        raise ModelIntegrityError(f"{path} does not give one probability an image: export it again.")
    if outputs[1:] and not _explain(outputs[1:]):
        raise ModelIntegrityError(
            f"{path} gives more than one probability an image and what its heat map is made of: export it again."
        )


def _explain(outputs: list[onnxruntime.NodeArg]) -> bool:
    """Whether outputs are feature maps and the gradient at each of their values."""
    if [output.name for output in outputs] != [FEATURE_MAPS, FEATURE_GRADIENTS]:
        return False
    maps, gradients = (list(output.shape[1:]) for output in outputs)
    floats = all(output.type == "tensor(float)" for output in outputs)
    return floats and len(maps) == 3 and all(isinstance(side, int) for side in maps) and maps == gradients
