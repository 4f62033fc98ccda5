"""A released model is served only when it is what its manifest says."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ml.inference import (
    Classifier,
    ModelIntegrityError,
    ModelManifest,
    find_released_model,
    list_released_models,
)
from ml.preprocessing import to_network_input
from tests.ml.drawn_lesions import draw_lesion

SIZE_PX = 8


def mean_model(size_px: int = SIZE_PX, outputs: int = 1) -> bytes:
    """A network whose probability is the mean of all values: the expected answer needs no other network."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Reshape", ["mean", "shape"], ["column"]),
            helper.make_node("Tile", ["column", "repeats"], ["probability"]),
        ],
        "mean",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", size_px, size_px, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", outputs])],
        [
            helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 1]),
            helper.make_tensor("repeats", TensorProto.INT64, [2], [1, outputs]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return bytes(model.SerializeToString())


PERFORMANCE = {
    "set": "drawn",
    "images": 30,
    "malignant": 10,
    "benign": 20,
    "sensitivity": {"value": 0.9, "low": 0.6, "high": 1.0},
    "specificity": {"value": 0.8, "low": 0.6, "high": 0.9},
}


def describe(content: bytes, **changes: Any) -> dict[str, Any]:
    return {
        "name": "mean",
        "version": "1.2.0",
        "sha256": hashlib.sha256(content).hexdigest(),
        "input_size_px": SIZE_PX,
        "preprocessing_version": "1",
        "threshold": 0.5,
        "operating_point": {"name": "half", "sensitivity": 0.9, "specificity": 0.8},
        "trained_on": "nothing",
        "data": {"name": "none", "counts": {"train_images": 0}, "terms": "free", "credit": ["nobody"]},
        "metrics": {"test_auc": 0.5},
        "created": "2026-11-21T10:00:00+00:00",
        "command": "none",
        "libraries": {"onnx": "1"},
    } | changes


def write(folder: Path, content: bytes, manifest: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    content = mean_model()
    return write(tmp_path / "mean-1.2.0", content, describe(content))


def test_probability_is_the_networks_when_image_is_predicted(model_folder: Path) -> None:
    image = draw_lesion(malignant=False, seed=3, side_px=50)

    answer = Classifier.load(model_folder).predict(image)

    assert answer.probability == pytest.approx(to_network_input(image, size_px=SIZE_PX).mean(), abs=1e-5)
    assert answer.label == "malignant"
    assert answer.threshold == 0.5


@pytest.mark.parametrize(("above", "label"), [(0.0, "malignant"), (1e-6, "benign")])
def test_label_is_malignant_when_probability_is_at_the_threshold(
    tmp_path: Path, above: float, label: str
) -> None:
    content, image = mean_model(), draw_lesion(malignant=False, seed=3)
    plain = Classifier.load(write(tmp_path / "a", content, describe(content))).predict(image)
    exact = describe(content, threshold=plain.probability + above)

    assert Classifier.load(write(tmp_path / "b", content, exact)).predict(image).label == label


def test_answers_are_the_same_when_threads_share_a_classifier() -> None:
    classifier = Classifier.load(find_released_model("custom_cnn"))
    images = [draw_lesion(malignant=seed % 2 == 0, seed=seed, side_px=128) for seed in range(24)]
    alone = [classifier.predict(image) for image in images]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(classifier.predict, images)) == alone


def test_answers_are_the_same_when_images_come_in_a_batch() -> None:
    classifier = Classifier.load(find_released_model("custom_cnn"), threads=2)
    inputs = np.stack([to_network_input(draw_lesion(malignant=True, seed=n), size_px=128) for n in range(5)])

    single = [classifier.probabilities(inputs[index : index + 1])[0] for index in range(5)]

    np.testing.assert_allclose(classifier.probabilities(inputs), single, atol=1e-5)


@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_model_is_refused_when_one_bit_is_flipped(model_folder: Path, place: float) -> None:
    path = model_folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)

    with pytest.raises(ModelIntegrityError, match=r"sha256 differs\): restore it from the repository"):
        Classifier.load(model_folder)


def test_released_model_is_refused_when_one_bit_of_a_weight_is_flipped(tmp_path: Path) -> None:
    folder = shutil.copytree(find_released_model("custom_cnn"), tmp_path / "copy")
    with (folder / "model.onnx").open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)[0]
        file.seek(1_000_000)
        file.write(bytes([byte ^ 0x80]))

    with pytest.raises(ModelIntegrityError, match="sha256 differs"):
        Classifier.load(folder)


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_model_is_refused_when_a_file_is_missing(model_folder: Path, name: str) -> None:
    (model_folder / name).unlink()

    with pytest.raises(ModelIntegrityError, match=f"{name} .*restore"):
        Classifier.load(model_folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "No Name"},
        {"version": "1.0"},
        {"sha256": "ABC"},
        {"input_size_px": 0},
        {"input_size_px": True},
        {"input_size_px": "128"},
        {"threshold": 1.5},
        {"threshold": None},
        {"threshold": float("nan")},
        {"operating_point": {"name": "half", "sensitivity": 0.9}},
        {"operating_point": []},
        {"created": "yesterday"},
        {"created": "2026-11-21T10:00:00"},
        {"metrics": {"auc": "good"}},
        {"data": {"name": "none", "counts": {}, "terms": "free", "credit": "nobody"}},
        {"trained_on": ""},
        {"test_performance": PERFORMANCE | {"benign": 21}},
        {"test_performance": PERFORMANCE | {"sensitivity": {"value": 0.5, "low": 0.6, "high": 1.0}}},
        {"test_performance": PERFORMANCE | {"specificity": None}},
    ],
    ids=str,
)
def test_manifest_is_refused_when_a_field_is_impossible(tmp_path: Path, changes: dict[str, Any]) -> None:
    content = mean_model()
    folder = write(tmp_path / "bad", content, describe(content, **changes))

    with pytest.raises(
        ModelIntegrityError, match=f"manifest.json: .*{next(iter(changes))}|no ISO|data|sens|spec"
    ):
        ModelManifest.read(folder)


def test_performance_is_read_when_the_manifest_has_it_and_none_when_older(tmp_path: Path) -> None:
    content = mean_model()
    new = write(tmp_path / "new", content, describe(content, test_performance=PERFORMANCE))
    old = write(tmp_path / "old", content, describe(content))

    performance = ModelManifest.read(new).test_performance

    assert performance is not None
    assert asdict(performance) == PERFORMANCE
    assert ModelManifest.read(old).test_performance is None


@pytest.mark.parametrize("field", describe(b""))
def test_manifest_is_refused_when_a_field_is_missing(tmp_path: Path, field: str) -> None:
    manifest = describe(mean_model())
    del manifest[field]

    with pytest.raises(ModelIntegrityError, match=f"{field} is missing"):
        ModelManifest.read(write(tmp_path / "bad", b"", manifest))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff"], ids=repr)
def test_manifest_is_refused_when_it_is_no_json_object(model_folder: Path, text: str) -> None:
    (model_folder / "manifest.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(ModelIntegrityError, match=r"manifest\.json.*restore"):
        ModelManifest.read(model_folder)


def test_model_is_refused_when_preprocessing_is_unknown(tmp_path: Path) -> None:
    content = mean_model()
    folder = write(tmp_path / "old", content, describe(content, preprocessing_version="0"))

    with pytest.raises(ModelIntegrityError, match="needs preprocessing version 0"):
        Classifier.load(folder)


def test_model_is_refused_when_input_has_another_size(tmp_path: Path) -> None:
    content = mean_model(size_px=16)

    with pytest.raises(ModelIntegrityError, match="8x8x3"):
        Classifier.load(write(tmp_path / "other", content, describe(content)))


def test_model_is_refused_when_it_gives_more_than_one_number(tmp_path: Path) -> None:
    content = mean_model(outputs=7)

    with pytest.raises(ModelIntegrityError, match="one probability"):
        Classifier.load(write(tmp_path / "seven", content, describe(content)))


@pytest.mark.parametrize("content", [b"", b"not a model", onnx.ModelProto().SerializeToString()], ids=repr)
def test_model_is_refused_when_file_is_no_network(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ModelIntegrityError, match="no model that ONNX Runtime"):
        Classifier.load(write(tmp_path / "none", content, describe(content)))


def test_newest_version_is_found_when_only_the_name_is_given(tmp_path: Path) -> None:
    content = mean_model()
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        write(tmp_path / f"mean-{version}", content, describe(content, version=version))
    (tmp_path / ".mean-2.0.0-123").mkdir()

    assert find_released_model("mean", folder=tmp_path).name == "mean-1.10.0"
    assert find_released_model("mean-1.2.0", folder=tmp_path).name == "mean-1.2.0"
    assert (
        find_released_model(str(tmp_path / "mean-1.9.0"), folder=tmp_path / "elsewhere").name == "mean-1.9.0"
    )
    assert [one.version for one in list_released_models(tmp_path)] == ["1.2.0", "1.9.0", "1.10.0"]


def test_name_is_refused_with_the_known_ones_when_no_model_has_it(model_folder: Path) -> None:
    with pytest.raises(ModelIntegrityError, match=r"'resnet'.*mean-1\.2\.0"):
        find_released_model("resnet", folder=model_folder.parent)


def test_listing_is_refused_when_a_folder_has_another_models_name(model_folder: Path) -> None:
    model_folder.rename(model_folder.with_name("mean-2.0.0"))

    with pytest.raises(ModelIntegrityError, match=r"holds the model mean-1\.2\.0"):
        list_released_models(model_folder.parent)
