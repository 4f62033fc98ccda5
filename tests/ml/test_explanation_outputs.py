"""The outputs a heat map is made of: right for every spelling of a head that is known, refused for the others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ml.inference import ModelIntegrityError, ModelManifest, find_released_model
from ml.inference.session import check_shapes, start_session
from ml.training.errors import BenchError
from ml.training.explanation_outputs import add_explanation_outputs

# Heads spelled by hand: the exporter may write the same layers in any of these ways.
SIDE, CHANNELS, HIDDEN = 4, 5, 6
GENERATOR = np.random.default_rng(11)
WEIGHTS = {
    "filter": GENERATOR.normal(size=(CHANNELS, 3, 1, 1)),
    "kernel_1": GENERATOR.normal(size=(SIDE * SIDE * CHANNELS, HIDDEN)),
    "bias_1": GENERATOR.normal(size=HIDDEN),
    "kernel_2": GENERATOR.normal(size=(HIDDEN, 1)),
    "kernel": GENERATOR.normal(size=(CHANNELS, 1)),
    "kernel_7": GENERATOR.normal(size=(CHANNELS, 7)),
    "kernel_mid": GENERATOR.normal(size=(CHANNELS, HIDDEN)),
    "bias": GENERATOR.normal(size=1),
}
WEIGHTS |= {f"{name}_turned": WEIGHTS[name].T for name in ("kernel", "kernel_1", "kernel_2")}
SHAPES = {"row": [-1, SIDE * SIDE * CHANNELS], "spatial": [2, 3]}
NHWC = ("Transpose", ["maps"], {"perm": [0, 2, 3, 1]})

Head = list[tuple[str, list[str], dict[str, Any]]]


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return start_session(path.read_bytes(), path, 1)


def write_network(path: Path, head: Head, outputs: int = 1) -> Path:
    """image -> 1x1 convolution -> ReLU ("maps", channels first) -> head; "" stands for the node before."""
    nodes = [
        helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "filter"], ["convolved"]),
        helper.make_node("Relu", ["convolved"], ["maps"]),
    ]
    made = "maps"
    for number, (operation, inputs, options) in enumerate(head):
        names = [made if name == "" else name for name in inputs]
        made = "answer" if number == len(head) - 1 else f"value_{number}"
        nodes.append(helper.make_node(operation, names, [made], **options))
    graph = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", outputs])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in WEIGHTS.items()]
        + [numpy_helper.from_array(np.array(shape, np.int64), name) for name, shape in SHAPES.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, path)
    return path


DENSE: Head = [("MatMul", ["", "kernel"], {}), ("Add", ["bias", ""], {}), ("Sigmoid", [""], {})]
TWO_DENSE: Head = [
    ("MatMul", ["", "kernel_1"], {}),
    ("Add", ["", "bias_1"], {}),
    ("Relu", [""], {}),
    ("MatMul", ["", "kernel_2"], {}),
    ("Sigmoid", [""], {}),
]
TWO_GEMM: Head = [
    ("Gemm", ["", "kernel_1_turned", "bias_1"], {"transB": 1}),
    ("Relu", [""], {}),
    ("Gemm", ["", "kernel_2_turned", "bias"], {"transB": 1}),
    ("Sigmoid", [""], {}),
]


def pooled_logit(maps: NDArray[np.float64]) -> float:
    return float((maps.mean(axis=(0, 1)) @ WEIGHTS["kernel"])[0])


def flattened_logit(maps: NDArray[np.float64]) -> float:
    hidden = np.maximum(maps.ravel() @ WEIGHTS["kernel_1"] + WEIGHTS["bias_1"], 0)
    return float((hidden @ WEIGHTS["kernel_2"])[0])


def channels_first_logit(maps: NDArray[np.float64]) -> float:
    return flattened_logit(maps.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("head", "logit"),
    [
        ([("GlobalAveragePool", ["maps"], {}), ("Squeeze", ["", "spatial"], {}), *DENSE], pooled_logit),
        ([("ReduceMean", ["maps"], {"axes": [-2, -1], "keepdims": 0}), *DENSE], pooled_logit),
        ([NHWC, ("ReduceMean", [""], {"axes": [1, 2], "keepdims": 0}), *DENSE], pooled_logit),
        (
            [
                ("GlobalAveragePool", ["maps"], {}),
                ("Flatten", [""], {}),
                ("Gemm", ["", "kernel_turned", "bias"], {"transB": 1}),
                ("Sigmoid", [""], {}),
            ],
            pooled_logit,
        ),
        ([NHWC, ("Reshape", ["", "row"], {}), *TWO_DENSE], flattened_logit),
        ([NHWC, ("Relu", [""], {}), ("Flatten", [""], {}), *TWO_GEMM], flattened_logit),
        ([("Reshape", ["maps", "row"], {}), *TWO_DENSE], channels_first_logit),
        ([("Flatten", ["maps"], {}), *TWO_GEMM], channels_first_logit),
    ],
    ids=["pool", "mean", "mean-nhwc", "pool-gemm", "flat", "flat-gemm", "flat-nchw", "flat-nchw-gemm"],
)
def test_gradient_is_that_of_finite_differences_when_head_is_spelled_in_any_way(
    tmp_path: Path, head: Head, logit: Callable[[NDArray[np.float64]], float]
) -> None:
    path = write_network(tmp_path / "model.onnx", head)
    add_explanation_outputs(path)

    pixels = np.random.default_rng(3).random((1, SIDE, SIDE, 3), dtype=np.float32)
    maps, gradients = session_of(path).run(["feature_maps", "feature_gradients"], {"image": pixels})

    np.testing.assert_allclose(
        maps[0], np.maximum(pixels[0] @ WEIGHTS["filter"][:, :, 0, 0].T, 0), rtol=1e-4, atol=1e-5
    )
    at, step = maps[0].astype(np.float64), 1e-6
    expected = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        moved = np.zeros_like(at)
        moved[place] = step
        expected[place] = (logit(at + moved) - logit(at - moved)) / (2 * step)
    assert at.shape == (SIDE, SIDE, CHANNELS)
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ([("GlobalMaxPool", ["maps"], {}), ("Squeeze", ["", "spatial"], {}), *DENSE], "GlobalMaxPool stands"),
        ([("ReduceMean", ["maps"], {"axes": [1, 2], "keepdims": 0}), *DENSE[-1:]], "ReduceMean stands"),
        ([("ReduceMean", ["maps"], {"axes": [2, 3], "keepdims": 0}), *DENSE[:-1]], "ends in Add"),
        (
            [
                ("ReduceMean", ["maps"], {"axes": [2, 3], "keepdims": 0}),
                ("MatMul", ["", "kernel_mid"], {}),
                ("Relu", [""], {}),
                ("MatMul", ["", "kernel_2"], {}),
                ("Sigmoid", [""], {}),
            ],
            "ReduceMean stands where the feature maps should be flattened",
        ),
        ([NHWC, ("ReduceMean", [""], {"axes": [2, 3], "keepdims": 0}), *DENSE[-1:]], "ReduceMean stands"),
        ([NHWC, ("Mul", ["", "bias"], {}), ("Flatten", [""], {}), *TWO_DENSE], "Mul does not tell"),
        (
            [("Flatten", ["maps"], {}), TWO_DENSE[0], ("Elu", [""], {}), *TWO_DENSE[3:]],
            "Elu stands where an average",
        ),
        (
            [("Flatten", ["maps"], {}), ("Gemm", ["", "kernel_1"], {"alpha": 2.0}), *TWO_DENSE[2:]],
            "Gemm stands where a dense layer",
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_network_is_refused_and_left_alone_when_head_is_of_another_kind(
    tmp_path: Path, head: Head, reason: str
) -> None:
    path = write_network(tmp_path / "model.onnx", head)
    before = path.read_bytes()

    with pytest.raises(BenchError, match=f"model.onnx cannot explain its answers: .*{reason}"):
        add_explanation_outputs(path)
    assert path.read_bytes() == before


def test_network_is_refused_when_it_gives_seven_answers(tmp_path: Path) -> None:
    head: Head = [
        ("ReduceMean", ["maps"], {"axes": [2, 3], "keepdims": 0}),
        ("MatMul", ["", "kernel_7"], {}),
        ("Sigmoid", [""], {}),
    ]

    with pytest.raises(BenchError, match="more than one probability"):
        add_explanation_outputs(write_network(tmp_path / "model.onnx", head, outputs=7))


@pytest.fixture
def manifest() -> ModelManifest:
    return replace(ModelManifest.read(find_released_model("custom_cnn")), input_size_px=SIDE)


POOLED_HEAD: Head = [("GlobalAveragePool", ["maps"], {}), ("Squeeze", ["", "spatial"], {}), *DENSE]


def test_network_is_served_when_it_can_explain_itself_or_not(tmp_path: Path, manifest: ModelManifest) -> None:
    path = write_network(tmp_path / "model.onnx", POOLED_HEAD)

    check_shapes(session_of(path), manifest, path)
    add_explanation_outputs(path)
    check_shapes(session_of(path), manifest, path)


def drop_gradients(outputs: Any) -> None:
    del outputs[2]


def swap(outputs: Any) -> None:
    outputs[1].name, outputs[2].name = outputs[2].name, outputs[1].name


def give_another(outputs: Any) -> None:
    outputs[1].CopyFrom(helper.make_tensor_value_info("maps", TensorProto.FLOAT, None))


@pytest.mark.parametrize("change", [drop_gradients, swap, give_another])
def test_network_is_not_served_when_it_gives_other_outputs(
    tmp_path: Path, manifest: ModelManifest, change: Callable[[Any], None]
) -> None:
    path = write_network(tmp_path / "model.onnx", POOLED_HEAD)
    add_explanation_outputs(path)
    model = onnx.load(path)
    change(model.graph.output)
    onnx.save(model, path)

    with pytest.raises(ModelIntegrityError, match=r"gives more than one probability .* export it again"):
        check_shapes(session_of(path), manifest, path)
