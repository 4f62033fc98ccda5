"""The quality limits of a network that is being released, fitted to photographs it was trained on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.inference.explain import FEATURE_MAPS
from ml.inference.session import start_session
from ml.preprocessing import decode_image, to_network_input
from ml.training.architectures import BACKBONES
from ml.training.quality_limits import fit_quality_gate, measure_photographs, write_quality_gate
from ml.training.run_state import RunState

_THREADS: Final = 2


def write_limits(model: Path, photographs: Sequence[Path], target: Path, state: RunState) -> bytes | None:
    """Fit the quality gate of a network and write it.

    The few features of the custom CNN hardly tell skin from other things, and they would stop dark skin: its gate
    goes by colour, sharpness, light and size alone.

    Args:
        model: its ONNX file as it will serve, with feature maps: those of int8 lie elsewhere than those of float32.
        photographs: image files of the training part, in random order; none: there will be no gate.
        target: file to write.
        state: of the run.

    Returns:
        The bytes of the file, or None.
    """
    if not photographs:
        return None
    size_px, features = state.config.input_size_px, None
    if state.config.architecture in BACKBONES:
        features = _mean_features(model, photographs, size_px)
    gate = fit_quality_gate(measure_photographs(photographs), features)
    # A network that looks at fewer pixels than its training images had misses nothing of a smaller photograph.
    shortest_px = min(gate.limits.min_short_side_px, size_px)
    write_quality_gate(replace(gate, limits=replace(gate.limits, min_short_side_px=shortest_px)), target)
    return target.read_bytes()


def _mean_features(model: Path, photographs: Sequence[Path], size_px: int) -> NDArray[np.float32]:
    """Spatial means of the last feature maps, float32 (photographs, channels)."""
    session = start_session(model.read_bytes(), model, _THREADS)
    name = session.get_inputs()[0].name
    means = []
    for photograph in photographs:
        pixels = to_network_input(decode_image(photograph.read_bytes()), size_px=size_px)
        (maps,) = session.run([FEATURE_MAPS], {name: pixels[np.newaxis]})
        means.append(np.asarray(maps, dtype=np.float32).mean(axis=(0, 1, 2)))
    return np.stack(means)
