"""ONNX networks with fixed random weights, for what is served to be slow or quick as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def dense(widths: tuple[int, ...], seed: int) -> onnx.ModelProto:
    """Dense layers with ReLU between and a softmax at the end.

    Args:
        widths: Of the input, of every layer, of the output.
        seed: Of the weights.
    """
    rng = np.random.default_rng(seed)
    nodes, weights, value = [], [], "x"
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        last = number == len(widths) - 2
        weights += _layer(rng, number, inputs, outputs)
        sums = f"sums{number}"
        nodes.append(helper.make_node("Gemm", [value, f"w{number}", f"b{number}"], [sums]))
        value = "y" if last else f"hidden{number}"
        # A softmax goes along the last axis where it is not told otherwise.
        nodes.append(helper.make_node("Softmax" if last else "Relu", [sums], [value]))
    return _model(nodes, weights, widths[0], widths[-1])


def residual(inputs: int, width: int, layers: int, classes: int, seed: int) -> onnx.ModelProto:
    """A dense layer, residual layers that share one matrix, a dense layer and a softmax.

    Much work from few weights (so that the file stays small and the cache holds them): each
    residual layer adds relu(x·W + b) / layers to x, which keeps values and rows apart.
    """
    rng = np.random.default_rng(seed)
    weights = [
        *_layer(rng, 0, inputs, width),
        *_layer(rng, 1, width, width, scale=1.0 / layers),
        *_layer(rng, 2, width, classes),
    ]
    nodes = [helper.make_node("Gemm", ["x", "w0", "b0"], ["hidden0"])]
    for number in range(layers):
        before, sums, added = f"hidden{number}", f"sums{number}", f"added{number}"
        nodes += [
            helper.make_node("Gemm", [before, "w1", "b1"], [sums]),
            helper.make_node("Relu", [sums], [added]),
            helper.make_node("Add", [before, added], [f"hidden{number + 1}"]),
        ]
    nodes += [
        helper.make_node("Gemm", [f"hidden{layers}", "w2", "b2"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["y"]),
    ]
    return _model(nodes, weights, inputs, classes)


def _layer(
    rng: np.random.Generator, number: int, inputs: int, outputs: int, scale: float = 1.0
) -> list[onnx.TensorProto]:
    matrix = rng.normal(0, scale * (2 / inputs) ** 0.5, (inputs, outputs))
    bias = rng.normal(0, scale * 0.1, outputs)
    return [
        numpy_helper.from_array(matrix.astype(np.float32), f"w{number}"),
        numpy_helper.from_array(bias.astype(np.float32), f"b{number}"),
    ]


def _model(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    inputs: int,
    outputs: int,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", outputs])],
        weights,
    )
    made: onnx.ModelProto = helper.make_model(
        graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
    )
    onnx.checker.check_model(made)
    return made
