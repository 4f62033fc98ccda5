"""Released models for tests: the one that serves by default, copies of it as other versions, and damage."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

from ml.inference import find_released_model

DEFAULT_NAME: Final = "mobilenet_v2"
SERVED: Final = find_released_model(DEFAULT_NAME)
"""The folder of the model that serves when nothing else is said."""
OTHER_VERSION: Final = "99.0.0"
OTHER_THRESHOLD: Final = 0.987
"""No other model's, so that it tells who scored."""
OTHER: Final = f"{DEFAULT_NAME}-{OTHER_VERSION}"


def shelve(folder: Path, *, version: str, **changes: Any) -> Path:
    """Put a copy of the served model on a shelf, under another version and with some of its manifest changed."""
    copy = folder / f"{DEFAULT_NAME}-{version}"
    shutil.copytree(SERVED, copy)
    change_manifest(copy, version=version, **changes)
    return copy


def change_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")


def flip_a_bit(file: Path) -> None:
    """Damage a file as a failing disk would."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def replace_network(folder: Path, content: bytes) -> None:
    """Put another network in place of a model's own, with a manifest that fits its bytes."""
    (folder / "model.onnx").write_bytes(content)
    change_manifest(folder, sha256=hashlib.sha256(content).hexdigest())
