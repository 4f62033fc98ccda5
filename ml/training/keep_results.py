"""Keep a judged run's metrics where they are committed, with what its network costs."""

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from ml.inference.session import start_session
from ml.training.files import write_json
from ml.training.onnx_models import write_onnx
from ml.training.onnx_timing import TIMED_THREADS, median_milliseconds
from ml.training.results import read_metrics
from ml.training.run_state import read_state
from ml.training.training import load_best_model

_MEGABYTE: Final = 1e6


def keep_results(run_folder: Path, *, results_folder: Path) -> Path:
    """Keep a judged run's metrics where they are committed, with what its network costs.

    Args:
        run_folder: of a finished and evaluated run.
        results_folder: one JSON file a run.

    Returns:
        The file.

    Raises:
        BenchError: the run is not finished, or not evaluated as it is now.
    """
    metrics = read_metrics(run_folder)
    path = results_folder / f"{metrics['run']}.json"
    digest = read_state(run_folder).split_sha256
    write_json(path, metrics | {"split_sha256": digest, "cost": _measure_cost(run_folder)})
    return path


def _measure_cost(run_folder: Path) -> dict[str, Any]:
    """Size of the exported network, and its time for one image on one core."""
    model = load_best_model(run_folder)
    size_px = model.input_shape[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(model, path)
        content = path.read_bytes()
        session = start_session(content, path, TIMED_THREADS)
    image = np.random.default_rng(0).random((1, size_px, size_px, 3), dtype=np.float32)
    return {
        "parameters": model.count_params(),
        "onnx_mb": round(len(content) / _MEGABYTE, 2),
        "ms_an_image": median_milliseconds(session, image),
        "threads": TIMED_THREADS,
    }
