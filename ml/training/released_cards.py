"""The cards of released models, written again from what lies beside them."""

from pathlib import Path
from typing import Any, Final

from ml.inference import ModelManifest
from ml.training.files import replacing
from ml.training.model_card import write_card
from ml.training.results import read_metrics_file
from ml.training.run_state import METRICS_FILE

CARD_FILE: Final = "MODEL_CARD.md"


def read_released(folder: Path) -> dict[str, Any]:
    """Read the metrics of a released model.

    Raises:
        BenchError: they are missing or damaged.
    """
    return read_metrics_file(folder / METRICS_FILE)


def rewrite_card(folder: Path) -> None:
    """Write a released model's card again from its manifest and metrics file.

    Raises:
        BenchError: the metrics file is missing or damaged.
        ModelIntegrityError: so is the manifest.
    """
    metrics = read_released(folder)
    with replacing(folder / CARD_FILE) as temporary:
        temporary.write_text(write_card(ModelManifest.read(folder), metrics), encoding="utf-8")
