"""A quality gate is read back as it was written, and refused when its file is not whole."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.inference import ModelIntegrityError
from ml.inference.quality import QualityGate, arrays_of
from ml.inference.skin_features import SkinFeatures
from ml.training.quality_limits import (
    write_quality_gate,
)
from tests.ml.spoilt_photographs import (
    CHANNELS,
    photograph,
    skin_features,
)


@pytest.fixture
def gate_file(gate: QualityGate, tmp_path: Path) -> Path:
    path = tmp_path / "quality.npz"
    write_quality_gate(gate, path)
    return path


def test_verdict_is_the_same_when_the_gate_is_read_back(gate: QualityGate, gate_file: Path) -> None:
    read = QualityGate.load(gate_file)

    features = skin_features(1, seed=5)[0]
    assert (read.limits, read.images, read.stopped_shares) == (gate.limits, gate.images, gate.stopped_shares)
    assert read.assess(photograph(), features) == gate.assess(photograph(), features)


def test_file_is_the_same_when_it_is_written_again(gate: QualityGate, gate_file: Path) -> None:
    first = gate_file.read_bytes()
    write_quality_gate(gate, gate_file)

    assert gate_file.read_bytes() == first


def test_file_stays_small_when_a_network_has_many_features(gate: QualityGate, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    skin = SkinFeatures(
        generator.normal(size=2048).astype(np.float32), generator.normal(size=(32, 2048)).astype(np.float32)
    )
    write_quality_gate(replace(gate, skin=skin), tmp_path / "quality.npz")

    assert (tmp_path / "quality.npz").stat().st_size < 200_000


def test_gate_is_refused_when_its_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match=r"quality\.npz is missing: restore"):
        QualityGate.load(tmp_path / "quality.npz")


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"no archive", _npy()], ids=["", "PK", "text", "npy"]
)
def test_gate_is_refused_when_its_file_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "quality.npz").write_bytes(content)

    with pytest.raises(ModelIntegrityError, match=r"is damaged: restore"):
        QualityGate.load(tmp_path / "quality.npz")


def test_gate_is_refused_or_the_same_when_one_byte_is_changed(gate: QualityGate, gate_file: Path) -> None:
    whole = gate_file.read_bytes()
    for place in range(0, len(whole), 23):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        gate_file.write_bytes(changed)
        try:
            assert QualityGate.load(gate_file).limits == gate.limits
        except ModelIntegrityError as error:
            assert "restore it from the repository" in str(error)  # noqa: PT017 - most bytes refuse, few are idle


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_gate_is_refused_when_its_file_is_cut_off(gate_file: Path, share: float) -> None:
    content = gate_file.read_bytes()
    gate_file.write_bytes(content[: int(share * len(content))])

    with pytest.raises(ModelIntegrityError, match="restore"):
        QualityGate.load(gate_file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", np.array(99)),
        ("format", None),
        ("min_sharpness", None),
        ("min_sharpness", np.array(np.nan)),
        ("min_luminance", np.array("dark")),
        ("max_dark_share", np.zeros(2)),
        ("stopped_blurred", None),
        ("skin_directions", None),
        ("skin_directions", np.zeros((4, CHANNELS + 1), dtype=np.float16)),
        ("skin_directions", np.zeros(CHANNELS, dtype=np.float16)),
        ("skin_mean", np.full(CHANNELS, np.inf, dtype=np.float32)),
        ("min_sharpness", np.array({}, dtype=object)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_gate_is_refused_when_an_array_is_missing_or_impossible(
    gate: QualityGate, tmp_path: Path, name: str, value: NDArray[np.generic] | None
) -> None:
    stored = arrays_of(gate) | {name: value}
    np.savez(tmp_path / "quality.npz", **{key: one for key, one in stored.items() if one is not None})

    with pytest.raises(ModelIntegrityError, match="restore it from the repository"):
        QualityGate.load(tmp_path / "quality.npz")
