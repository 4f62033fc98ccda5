"""Give an exported network what a heat map is made of: its last feature maps and the logit's gradient there.

The head of every network here is short enough to differentiate on paper, so the gradient is a handful of ordinary
ONNX nodes over the head's own weights, and serving an explanation needs no TensorFlow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ml.inference.explain import FEATURE_GRADIENTS, FEATURE_MAPS
from ml.training.errors import BenchError

_PREFIX: Final = "explanation/"
_NCHW_TO_NHWC: Final = [0, 2, 3, 1]
_SAME_VALUES: Final = ("Identity", "Dropout")  # nothing is dropped when a network only answers
_RESHAPING: Final = ("Reshape", "Flatten", "Squeeze")
_IN_ANY_LAYOUT: Final = ("Relu", "Clip")
_CHANNELS_FIRST: Final = ("Conv", "MaxPool", "AveragePool")  # ONNX knows them in no other layout


def add_explanation_outputs(path: Path) -> None:
    """Add the outputs `feature_maps` and `feature_gradients` to a network's file.

    Both are float32 (batch, height, width, channels): the feature maps that the head begins with, and the gradient
    of the malignancy logit (the number before the sigmoid) with respect to them, in closed form:

    - pooled head, logit = mean(maps) @ w + b: the gradient is w / (height * width) at every place;
    - flattened head, logit = relu(flat(maps) @ W + c) @ w + b: it is (w * [hidden > 0]) @ W transposed.

    No weight is stored twice, and the nodes of the probability stay as they are. A file that has the outputs is left
    alone.

    Args:
        path: of an ONNX file whose first output is the probability.

    Raises:
        BenchError: the head is of another kind; the file is as it was.
    """
    model = onnx.load(path)
    if FEATURE_GRADIENTS in [output.name for output in model.graph.output]:
        return
    try:
        head = _find_head(model)
    except _OtherHeadError as error:
        raise BenchError(
            f"{path.name} cannot explain its answers: {error}; give it a head of GlobalAveragePooling2D or Flatten and "
            "Dense relu, then Dense 1 sigmoid, or differentiate the new head in ml/training/explanation_outputs.py"
        ) from error
    _append_outputs(model.graph, head)
    onnx.checker.check_model(model)
    onnx.save(model, path)


class _OtherHeadError(Exception):
    """The head is none of those whose gradient is known here."""


@dataclass(frozen=True)
class _Dense:
    """A dense layer: its input, and where its kernel is and how it lies there."""

    source: str
    kernel: str
    kernel_shape: tuple[int, int]
    transposed: bool


@dataclass(frozen=True)
class _Head:
    """From the feature maps to the logit; a pooled head has no hidden layer."""

    maps: str
    maps_shape: tuple[int, int, int]
    channels_first: bool
    last: _Dense
    hidden: _Dense | None = None
    hidden_values: str = ""


class _Graph:
    """A graph that is walked from its outputs towards its input."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = onnx.shape_inference.infer_shapes(model).graph
        self.output: str = graph.output[0].name
        self._makers = {name: node for node in graph.node for name in node.output}
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._shapes = {
            value.name: [one.dim_value for one in value.type.tensor_type.shape.dim]
            for value in graph.value_info
        }

    def maker(self, value: str) -> onnx.NodeProto:
        """The node that makes a value, past those that only hand it on."""
        node = self._makers.get(value)
        if node is None:
            raise _OtherHeadError(f"nothing in the network makes {value}")
        return self.maker(node.input[0]) if node.op_type in _SAME_VALUES else node

    def constant(self, value: str) -> list[int]:
        """A stored list of whole numbers; none stored: none."""
        return numpy_helper.to_array(self._stored[value]).tolist() if value in self._stored else []

    def is_stored(self, value: str) -> bool:
        return value in self._stored

    def kernel_shape(self, value: str) -> tuple[int, int]:
        if value not in self._stored or len(self._stored[value].dims) != 2:
            raise _OtherHeadError(f"{value} is no stored kernel of a dense layer")
        rows, columns = self._stored[value].dims
        return rows, columns

    def spatial_shape(self, value: str) -> tuple[int, int, int]:
        """The three sizes after the batch."""
        shape = tuple(self._shapes.get(value, []))[1:]
        if len(shape) != 3 or 0 in shape:
            raise _OtherHeadError(f"{value} is no stack of feature maps of a known size")
        first, second, third = shape
        return first, second, third


def _find_head(model: onnx.ModelProto) -> _Head:
    graph = _Graph(model)
    sigmoid = graph.maker(graph.output)
    if sigmoid.op_type != "Sigmoid":
        raise _OtherHeadError(f"it ends in {sigmoid.op_type}, not in a sigmoid")
    last = _find_dense(graph, sigmoid.input[0])
    if last.kernel_shape[0 if last.transposed else 1] != 1:
        raise _OtherHeadError("it gives more than one probability")
    before = graph.maker(last.source)
    if before.op_type == "Relu":
        hidden = _find_dense(graph, before.input[0])
        return _find_flattened(graph, last, hidden, hidden_values=last.source)
    return _find_pooled(graph, last, before)


def _find_dense(graph: _Graph, value: str) -> _Dense:
    """The dense layer that makes a value: Gemm, or MatMul with an Add unless the bias was zero."""
    node = graph.maker(value)
    if node.op_type == "Add":
        summand = node.input[1] if graph.is_stored(node.input[0]) else node.input[0]
        node = graph.maker(summand)
    options = _attributes(node)
    plain = options.get("alpha", 1.0) == 1.0 and not options.get("transA", 0)
    if node.op_type not in ("MatMul", "Gemm") or not plain:
        raise _OtherHeadError(f"{node.op_type} stands where a dense layer should")
    return _Dense(
        source=node.input[0],
        kernel=node.input[1],
        kernel_shape=graph.kernel_shape(node.input[1]),
        transposed=bool(options.get("transB", 0)),
    )


def _find_pooled(graph: _Graph, last: _Dense, node: onnx.NodeProto) -> _Head:
    if node.op_type in _RESHAPING:
        node = graph.maker(node.input[0])
    maps = node.input[0]
    if node.op_type == "GlobalAveragePool":
        channels_first = True
    elif node.op_type == "ReduceMean":
        options = _attributes(node)
        axes = options.get("axes") or graph.constant(node.input[1])
        channels_first = sorted(axis % 4 for axis in axes) == [2, 3]
        if not channels_first and sorted(axis % 4 for axis in axes) != [1, 2]:
            raise _OtherHeadError(f"it averages over the axes {axes}, which are not height and width")
    else:
        raise _OtherHeadError(f"{node.op_type} stands where an average over the picture should")
    return _Head(maps=maps, maps_shape=graph.spatial_shape(maps), channels_first=channels_first, last=last)


def _find_flattened(graph: _Graph, last: _Dense, hidden: _Dense, *, hidden_values: str) -> _Head:
    node = graph.maker(hidden.source)
    if node.op_type not in ("Reshape", "Flatten"):
        raise _OtherHeadError(f"{node.op_type} stands where the feature maps should be flattened")
    maps = node.input[0]
    shape = graph.spatial_shape(maps)
    if math.prod(shape) != hidden.kernel_shape[1 if hidden.transposed else 0]:
        raise _OtherHeadError(f"{maps} is flattened in part only")
    return _Head(
        maps=maps,
        maps_shape=shape,
        channels_first=_lie_channels_first(graph, maps),
        last=last,
        hidden=hidden,
        hidden_values=hidden_values,
    )


def _lie_channels_first(graph: _Graph, maps: str) -> bool:
    """Whether feature maps are (batch, channels, height, width), by what made them."""
    maker = graph.maker(maps)
    while maker.op_type in _IN_ANY_LAYOUT:
        maker = graph.maker(maker.input[0])
    if maker.op_type in _CHANNELS_FIRST:
        return True
    if maker.op_type == "Transpose" and _attributes(maker).get("perm") == _NCHW_TO_NHWC:
        return False
    raise _OtherHeadError(f"{maker.op_type} does not tell which axis of {maps} holds the channels")


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _append_outputs(graph: onnx.GraphProto, head: _Head) -> None:
    nodes = _Nodes()
    if head.hidden is None:
        gradients = _pooled_gradients(nodes, head)
    else:
        gradients = _flattened_gradients(nodes, head, head.hidden)
    shape = head.maps_shape
    if head.channels_first:
        shape = (shape[1], shape[2], shape[0])
        nodes.add("Transpose", head.maps, output=FEATURE_MAPS, perm=_NCHW_TO_NHWC)
        nodes.add("Transpose", gradients, output=FEATURE_GRADIENTS, perm=_NCHW_TO_NHWC)
    else:
        nodes.add("Identity", head.maps, output=FEATURE_MAPS)
        nodes.add("Identity", gradients, output=FEATURE_GRADIENTS)
    graph.node.extend(nodes.nodes)
    graph.initializer.extend(nodes.constants)
    for name in (FEATURE_MAPS, FEATURE_GRADIENTS):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))


class _Nodes:
    """Nodes to append, and the small constants they need."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of what it makes."""
        made = output or f"{_PREFIX}{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operation, inputs, [made], name=f"{_PREFIX}node_{len(self.nodes)}", **attributes)
        )
        return made

    def constant(self, value: Sequence[int] | np.float32) -> str:
        """Store whole numbers (of shapes) or one float32; returns the name."""
        name = f"{_PREFIX}constant_{len(self.constants)}"
        array = np.asarray(value, dtype=np.float32 if isinstance(value, np.float32) else np.int64)
        self.constants.append(numpy_helper.from_array(array, name))
        return name


def _pooled_gradients(nodes: _Nodes, head: _Head) -> str:
    """The last kernel over the number of places, the same at every place of every image."""
    channels, places = (
        (head.maps_shape[0], math.prod(head.maps_shape[1:]))
        if head.channels_first
        else (head.maps_shape[2], math.prod(head.maps_shape[:2]))
    )
    one_place = [1, channels, 1, 1] if head.channels_first else [1, 1, 1, channels]
    row = nodes.add("Reshape", head.last.kernel, nodes.constant(one_place))
    share = nodes.add("Div", row, nodes.constant(np.float32(places)))
    return nodes.add("Expand", share, nodes.add("Shape", head.maps))


def _flattened_gradients(nodes: _Nodes, head: _Head, hidden: _Dense) -> str:
    """Back through the hidden layer: only the units that answered pass the last kernel's weights on."""
    answered = nodes.add("Sign", head.hidden_values)  # after a ReLU: 0 or 1
    row = nodes.add("Reshape", head.last.kernel, nodes.constant([1, -1]))
    passed = nodes.add("Mul", answered, row)
    flat = nodes.add("Gemm", passed, hidden.kernel, transB=0 if hidden.transposed else 1)
    return nodes.add("Reshape", flat, nodes.constant([-1, *head.maps_shape]))
