"""In one process: slipstream against onnxruntime's own Python API, on one small network.

The ways take turns in short blocks, so that a machine that slows down slows all of them. Every call
is timed on its own by one caller, so these are latencies without load. The network is so small that
what is compared is what surrounds the computation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import slipstream

Array = npt.NDArray[Any]
Way = Callable[[Array], Array]

WIDTHS = (16, 64, 3)
BATCHES = (1, 64)
PREDICT, SUBMIT, REFERENCE = "slipstream predict", "slipstream submit", "onnxruntime run"
QUEUE = "slipstream queue"
"""`submit` with an option, which never answers on the caller's thread."""
_ANSWER_TIMEOUT_S = 30.0


class Plan(NamedTuple):
    """How much is measured: every way runs ``rounds`` blocks of ``calls`` calls."""

    warmup_calls: int
    rounds: int
    calls: int


FULL = Plan(warmup_calls=500, rounds=200, calls=100)
QUICK = Plan(warmup_calls=50, rounds=6, calls=20)


class Row(TypedDict):
    """One way with one batch size; times are of single calls, in microseconds."""

    way: str
    batch_rows: int
    calls: int
    median_us: float
    p5_us: float
    p95_us: float
    ratio_to_onnxruntime: float
    """Median over the rounds of this way's median divided by onnxruntime's in the same round."""
    inline_share: float | None
    """Share of the calls that ran on the caller's thread, without the queue; None: has no queue."""
    answers_checked: int
    """Rows of output found equal to onnxruntime's before anything was measured."""


class WrongAnswerError(Exception):
    """A way did not answer what onnxruntime answers."""


def measure(folder: Path, plan: Plan) -> list[Row]:
    """Checks and then measures every way with every batch size; ``folder`` takes scratch files.

    Raises:
        WrongAnswerError: before anything is measured.
    """
    file = folder / "network.onnx"
    onnx.save(small_network(), file)
    with slipstream.Engine(state_dir=folder / "state") as engine:
        model = engine.load(file)
        ways: dict[str, Way] = {
            PREDICT: model.predict,
            SUBMIT: lambda x: model.submit(x).result(_ANSWER_TIMEOUT_S),
            QUEUE: lambda x: model.submit(x, priority=0).result(_ANSWER_TIMEOUT_S),
            REFERENCE: onnxruntime_way(file),
        }
        checked = {rows: require_same_answers(ways, rows) for rows in BATCHES}
        measured: list[Row] = []
        for rows in BATCHES:
            measured += _measure_batch(model, ways, rows, plan, checked[rows])
        return measured


def small_network() -> onnx.ModelProto:
    """A network of one hidden layer and a softmax, with fixed random weights."""
    rng = np.random.default_rng(0)
    inputs, hidden, outputs = WIDTHS
    weights = {
        "w1": rng.normal(0, inputs**-0.5, (inputs, hidden)),
        "b1": rng.normal(0, 0.1, hidden),
        "w2": rng.normal(0, hidden**-0.5, (hidden, outputs)),
        "b2": rng.normal(0, 0.1, outputs),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["sums"]),
            helper.make_node("Relu", ["sums"], ["hidden"]),
            helper.make_node("Gemm", ["hidden", "w2", "b2"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["y"], axis=1),
        ],
        "small_network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", outputs])],
        [numpy_helper.from_array(value.astype(np.float32), key) for key, value in weights.items()],
    )
    # Versions that every onnxruntime we support can read, whatever onnx writes by default.
    opsets = [helper.make_opsetid("", 17)]
    model: onnx.ModelProto = helper.make_model(graph, ir_version=8, opset_imports=opsets)
    onnx.checker.check_model(model)
    return model


def onnxruntime_way(file: Path) -> Way:
    """A session of onnxruntime itself, one thread per operator, as slipstream sets up its own."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def require_same_answers(ways: dict[str, Way], rows: int, tries: int = 16) -> int:
    """Compares every way with onnxruntime on ``tries`` inputs; returns the rows compared per way.

    Raises:
        WrongAnswerError: names the way and what differs.
    """
    rng = np.random.default_rng(rows)
    for _ in range(tries):
        x = rng.normal(size=(rows, WIDTHS[0])).astype(np.float32)
        expected = ways[REFERENCE](x)
        for name, way in ways.items():
            got = way(x)
            try:
                np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7, strict=True)
            except AssertionError as error:
                raise WrongAnswerError(
                    f"{name} answers {rows} rows otherwise than onnxruntime; nothing was measured: "
                    f"{error}"
                ) from error
    return tries * rows


def _measure_batch(
    model: slipstream.Model, ways: dict[str, Way], rows: int, plan: Plan, checked: int
) -> list[Row]:
    x = np.random.default_rng(rows).normal(size=(rows, WIDTHS[0])).astype(np.float32)
    for way in ways.values():
        _time_calls(way, x, plan.warmup_calls)
    blocks: dict[str, list[Array]] = {name: [] for name in ways}
    inline = dict.fromkeys(ways, 0)
    order = list(ways)
    for _ in range(plan.rounds):
        for name in order:
            before = model.version.core.stats()["inline_executions"]
            blocks[name].append(_time_calls(ways[name], x, plan.calls))
            inline[name] += model.version.core.stats()["inline_executions"] - before
        order.append(order.pop(0))  # each way takes each place
    reference = np.median(blocks[REFERENCE], axis=1)
    measured = []
    for name, times in blocks.items():
        p5, median, p95 = np.percentile(times, (5, 50, 95)) / 1e3
        calls = plan.rounds * plan.calls
        row = Row(
            way=name,
            batch_rows=rows,
            calls=calls,
            median_us=round(float(median), 3),
            p5_us=round(float(p5), 3),
            p95_us=round(float(p95), 3),
            ratio_to_onnxruntime=round(float(np.median(np.median(times, axis=1) / reference)), 3),
            inline_share=None if name == REFERENCE else round(inline[name] / calls, 3),
            answers_checked=checked,
        )
        measured.append(row)
    return measured


def _time_calls(way: Way, x: Array, calls: int) -> Array:
    """Nanoseconds of each of ``calls`` calls, one after the other."""
    now = time.perf_counter_ns
    times = np.empty(calls, dtype=np.int64)
    for index in range(calls):
        start = now()
        way(x)
        times[index] = now() - start
    return times
