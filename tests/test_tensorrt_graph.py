"""Graphs in the precision that a plan is to have, and answers held against each other.

ONNX Runtime runs what is rewritten here, so that it is known to be a graph; whether TensorRT builds
it is another matter, which needs a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plan_graphs import write_two_layers
from slipstream.convert.tensorrt_graph import inputs_of, read_rows, typed_graph
from slipstream.convert.tensorrt_proof import difference, judged
from slipstream.errors import ModelLoadError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(7)
ROWS = RNG.standard_normal((64, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two layers."""
    return write_two_layers(tmp_path_factory.mktemp("graph") / "net.onnx", RNG)


def answers(file: Path) -> Any:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": ROWS})[0]


def rows_file(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "rows.npz", **arrays)
    return folder / "rows.npz"


def test_inputs_are_those_without_constants(graph: Path) -> None:
    assert inputs_of(graph) == {"x": (-1, 8)}


def test_float32_is_the_graph_itself(graph: Path, tmp_path: Path) -> None:
    assert typed_graph(graph, tmp_path, "fp32", None, is_batchable=True) == graph


def test_float16_is_inside_and_clients_send_what_they_sent(graph: Path, tmp_path: Path) -> None:
    half = typed_graph(graph, tmp_path, "fp16", None, is_batchable=True)
    model = onnx.load(half).graph
    types = {tensor.data_type for tensor in model.initializer}
    assert types == {onnx.TensorProto.FLOAT16}
    assert model.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert 0 < difference(answers(graph), answers(half)) < 0.01


def test_int8_has_pairs_without_zero_points_and_float32_biases(graph: Path, tmp_path: Path) -> None:
    rows = rows_file(tmp_path, x=ROWS)
    small = typed_graph(graph, tmp_path, "int8", rows, is_batchable=True)
    model = onnx.load(small).graph
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in model.initializer}
    pairs = [node for node in model.node if node.op_type == "QuantizeLinear"]
    assert len(pairs) >= 4, "activations and weights"
    assert all(not stored[node.input[2]].any() for node in pairs), "TensorRT takes no zero points"
    assert stored["b1"].dtype == np.float32 and stored["b2"].dtype == np.float32
    assert all(stored[node.input[2]].dtype == np.int8 for node in pairs)
    assert difference(answers(graph), answers(small)) < 0.1


def test_float8_is_not_made_here(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="ModelOpt"):
        typed_graph(graph, tmp_path, "fp8", None, is_batchable=True)


def test_a_graph_with_float8_is_taken(tmp_path: Path) -> None:
    helper = onnx.helper
    scale = onnx.numpy_helper.from_array(np.float32(0.5), "s")
    zero = helper.make_tensor("z", onnx.TensorProto.FLOAT8E4M3FN, [], [0.0])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, 1, [None, 2]) for name in "xy")
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y], [scale, zero]))
    onnx.save(model, tmp_path / "small.onnx")
    file = tmp_path / "small.onnx"
    assert typed_graph(file, tmp_path, "fp8", None, is_batchable=True) == file


def test_calibration_rows_are_by_name_or_in_order(tmp_path: Path) -> None:
    one, two = np.zeros(2), np.ones(3)
    named = rows_file(tmp_path, b=two, a=one, other=one)
    assert [array.shape for array in read_rows(named, ["a", "b"])] == [(2,), (3,)]
    ordered = rows_file(tmp_path, arr_0=one, arr_1=two)
    assert [array.shape for array in read_rows(ordered, ["a", "b"])] == [(2,), (3,)]
    with pytest.raises(ModelLoadError, match=r"inputs are \['a', 'b', 'c'\]"):
        read_rows(ordered, ["a", "b", "c"])
    with pytest.raises(ModelLoadError, match="inputs are"):
        read_rows(rows_file(tmp_path, a=one), ["a", "b"])
    (tmp_path / "junk.npz").write_bytes(b"junk")
    with pytest.raises(ModelLoadError, match="calibration rows"):
        read_rows(tmp_path / "junk.npz", ["a"])


def test_answers_are_judged_by_the_greatest_value() -> None:
    right = np.array([[1.0, -100.0]], np.float32)
    assert difference(right, right) == 0
    assert difference(right, right + np.float32(1)) == pytest.approx(0.01)
    assert difference(np.zeros(3), np.full(3, 0.5)) == 0.5
    assert difference(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])) == 0.25
    assert difference(np.zeros((0, 3)), np.zeros((0, 3))) == 0
    odd = np.array([np.nan, np.inf, 1.0])
    assert difference(odd, odd) == 0
    assert difference(odd, np.array([0.0, np.inf, 1.0])) == np.inf
    assert difference(odd, np.array([np.nan, -np.inf, 1.0])) == np.inf


def test_a_plan_that_computes_something_else_is_refused() -> None:
    right = {"y": np.ones((2, 3))}
    assert "differ" in judged(right, {"y": np.full((2, 3), 1.01)}, 0.05)
    with pytest.raises(ModelLoadError, match="answers otherwise"):
        judged(right, {"y": np.full((2, 3), 1.2)}, 0.05)
    with pytest.raises(ModelLoadError, match=r"has shape \[3, 2\]"):
        judged(right, {"y": np.ones((3, 2))}, 0.05)
    with pytest.raises(ModelLoadError, match="'y' has shape None"):
        judged(right, {}, 0.05)
