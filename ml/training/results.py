"""The kept metrics of judged runs, one committed JSON file a run: what pages and model cards are written from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ml.training.errors import BenchError
from ml.training.run_state import METRICS_FILE, read_state

RESULTS_FOLDER: Final = Path(__file__).resolve().parents[1] / "experiments" / "results"


def read_metrics(run_folder: Path) -> dict[str, Any]:
    """Read the metrics of a finished run.

    Raises:
        BenchError: the run is not finished, or not evaluated, or was evaluated at another epoch.
    """
    state = read_state(run_folder)
    name = state.config.name
    if not state.finished:
        raise BenchError(f"{name} is not finished: run `python -m ml train {name} --resume` first")
    try:
        metrics = read_metrics_file(run_folder / METRICS_FILE)
    except BenchError as error:
        raise BenchError(f"{name} is not evaluated: run `python -m ml evaluate {name}` first") from error
    if metrics["training"]["best_epoch"] != state.best_epoch:
        raise BenchError(f"{name} was evaluated at another epoch: run `python -m ml evaluate {name}` again")
    return metrics


def read_metrics_file(path: Path) -> dict[str, Any]:
    """Read what an evaluation wrote.

    Raises:
        BenchError: it is missing or damaged.
    """
    try:
        metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return (
            metrics
            | {key: metrics[key] for key in ("run", "sets")}
            | {"training": metrics["training"] | {"best_epoch": metrics["training"]["best_epoch"]}}
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(
            f"{path} is missing or damaged ({error}): restore it, or evaluate the run again"
        ) from error


def read_results(results_folder: Path = RESULTS_FOLDER) -> list[dict[str, Any]]:
    """Read all kept metrics, by name of the run.

    Raises:
        BenchError: there are none, or a file is damaged.
    """
    results = []
    for path in sorted(results_folder.glob("*.json")):
        one = read_metrics_file(path)
        if "cost" not in one:
            raise BenchError(f"{path} was not written by `compare`: name its run after that command")
        results.append(one)
    if not results:
        raise BenchError(
            f"no kept results in {results_folder}: name evaluated runs, python -m ml compare RUN ..."
        )
    return results


def left_out_results(results: Sequence[Mapping[str, Any]], *, architecture: str) -> list[dict[str, Any]]:
    """How an architecture did on sources that its runs had not seen, a row a source and way of counting.

    Args:
        results: as `read_results` gives them.
        architecture: its name.
    """
    whole = all_sources(results)
    return [
        {"run": one["run"], "trained_on": one["training"]["sources"], "set": key} | dict(measured)
        for one in results
        if one["training"]["architecture"] == architecture and set(one["training"]["sources"]) != whole
        for key, measured in one["sets"].items()
        if not measured["in_source"] and measured["auc"]
    ]


def all_sources(results: Sequence[Mapping[str, Any]]) -> set[str]:
    """Every source that one of the runs was trained on."""
    return {source for one in results for source in one["training"]["sources"]}
