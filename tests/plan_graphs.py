"""Graphs that plans of TensorRT are built of."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_two_layers(file: Path, rng: np.random.Generator) -> Path:
    """An ONNX file: f32[rows, 8] through 16 values to f32[rows, 4], with random weights."""
    import onnx
    from onnx import helper

    shapes = {"w1": (8, 16), "b1": (16,), "w2": (16, 4), "b2": (4,)}
    stored = [
        onnx.numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", 1, ["rows", 8])
    y = helper.make_tensor_value_info("y", 1, ["rows", 4])
    graph = helper.make_graph(nodes, "net", [x], [y], stored)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), str(file))
    return file
