"""Between Keras and ONNX: write a network as one ONNX file, read a plain network's weights back."""

import warnings
from pathlib import Path

import keras
import numpy as np
import onnx
from numpy.typing import NDArray

from ml.training.architectures import build
from ml.training.errors import BenchError
from ml.training.explanation_outputs import add_explanation_outputs


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write a Keras network as a float32 ONNX file with a free batch size.

    The first output is the network's; the other two are those of `add_explanation_outputs`.

    Args:
        model: one image input, one output, the probability of malignancy.
        path: of the file.

    Raises:
        BenchError: the network's head is of a kind whose answers cannot be explained.
    """
    signature = keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="float32", name="image")
    with warnings.catch_warnings():
        # Keras patches tf2onnx for numpy 2 and asks for the removed np.object on the way.
        warnings.filterwarnings("ignore", message=".*np.object.*", category=FutureWarning)
        model.export(path, format="onnx", verbose=False, input_signature=[signature])
    add_explanation_outputs(path)


def keras_model_from_onnx(path: Path, *, architecture: str) -> keras.Model:
    """Rebuild the Keras network whose weights an ONNX file holds.

    Only the numbers come from the file; the layers come from `ml.training.architectures`. So a comparison of
    both networks checks the exported graph (order, padding, layout, activations), not just the weights.

    Args:
        path: of an ONNX file written by `write_onnx`.
        architecture: of a network made of convolutions and dense layers, each with a bias.

    Raises:
        BenchError: the weights do not fit the architecture.
    """
    graph = onnx.load(path).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    size_px = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    model = build(architecture, input_size_px=size_px)
    layers = [layer for layer in model.layers if layer.weights]
    pairs = _weights_in_order(graph, stored)
    fitting = [[tuple(weight.shape) for weight in layer.weights] for layer in layers]
    if fitting != [[weight.shape for weight in pair] for pair in pairs]:
        raise BenchError(
            f"{path} does not hold the weights of {architecture}: give the architecture it was made from"
        )
    for layer, pair in zip(layers, pairs, strict=True):
        layer.set_weights(pair)
    return model


def _weights_in_order(
    graph: onnx.GraphProto, stored: dict[str, NDArray[np.float32]]
) -> list[list[NDArray[np.float32]]]:
    """Kernel and bias of each convolution and dense layer, in Keras' axes and the order of the graph.

    The nodes of the explanation are neither Conv nor MatMul, so a dense layer counts once.
    """
    pairs = []
    for node in graph.node:
        if node.op_type == "Conv":
            kernel, bias = (stored[name] for name in node.input[1:3])
            pairs.append([kernel.transpose(2, 3, 1, 0), bias])  # ONNX: out, in, height, width
        elif node.op_type == "MatMul":
            added = next(add for add in graph.node if add.op_type == "Add" and node.output[0] in add.input)
            pairs.append([stored[node.input[1]], stored[added.input[1]]])
    return pairs
