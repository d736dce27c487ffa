"""A plan held against the graph that it was built of: both answer the same generated rows.

The graph runs in ONNX Runtime on the CPU, the plan in the engine's own backend on the GPU. What a
plan in less precision loses is told; more than that is no loss of precision, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from slipstream.convert.core_session import CoreSession
from slipstream.errors import ModelLoadError
from slipstream.models.tensorrt_table import BuildTable, Precision
from slipstream.quantize.rows import Array, candidates
from slipstream.quantize.session import Session

_MOST_DIFFERENCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 0.05, "int8": 0.5, "fp8": 0.5}
"""Of the greatest value of an output. Above, a plan computes something else."""
_TF32_DIFFERENCE = 0.01


def prove(
    graph: Path,
    plan: Path,
    options: dict[str, str],
    wanted: BuildTable,
    shapes: Mapping[str, Sequence[int]],
) -> str:
    """What the plan loses, in words.

    Args:
        graph: The original.
        plan: What was built of it.
        options: Of the ``tensorrt`` backend.
        wanted: As it was built.
        shapes: Of inputs that take several, one that the plan surely takes.

    Raises:
        ModelLoadError: it computes something else.
        SlipstreamError: the plan does not load, or fails.
    """
    session = Session(graph, None)
    arrays = _rows(session, shapes)
    if arrays is None:
        return "the plan was not compared: no generated rows suit the model"
    expected = session.run(arrays)
    with CoreSession(plan, options, backend="tensorrt") as built:
        names = [name for name, _, _ in built.inputs]
        answers = built.run([arrays[session.names.index(name)] for name in names])
        found = dict(zip((name for name, _, _ in built.outputs), answers, strict=True))
    limit = _MOST_DIFFERENCE[wanted.precision]
    return judged(expected, found, max(limit, _TF32_DIFFERENCE) if wanted.tf32 else limit)


def judged(expected: Mapping[str, Array], found: Mapping[str, Array | None], limit: float) -> str:
    """How far answers are apart, in words.

    Raises:
        ModelLoadError: further than ``limit``, or they are of other shapes, or not there.
    """
    worst = 0.0
    for name, right in expected.items():
        have = found.get(name)
        if have is None or have.shape != right.shape:
            shape = None if have is None else list(have.shape)
            raise ModelLoadError(
                f"the plan's output {name!r} has shape {shape}, the graph's {list(right.shape)}"
            )
        worst = max(worst, difference(right, have))
    if worst > limit:
        raise ModelLoadError(
            f"the plan answers otherwise than the graph: by {worst:.2g} of the greatest value of "
            f"an output, where {limit:g} is allowed; choose another precision, or serve the model "
            "as model_type 'onnx'"
        )
    return f"the plan's answers differ from the graph's by {worst:.2g} of their greatest value"


def difference(right: Array, have: Array) -> float:
    """The greatest difference, over the greatest value; of what is no float, the share that is."""
    if right.size == 0:
        return 0.0
    if right.dtype.kind != "f":
        return float(np.mean(right != have))
    exact, near = right.astype(np.float64), have.astype(np.float64)
    if not np.array_equal(np.isnan(exact), np.isnan(near)):
        return float("inf")
    finite = np.isfinite(exact)
    if not np.array_equal(exact[~finite], near[~finite], equal_nan=True):
        return float("inf")
    apart = float(np.max(np.abs(exact[finite] - near[finite]), initial=0.0))
    greatest = float(np.max(np.abs(exact[finite]), initial=0.0))
    return apart / greatest if greatest > 0 else apart


def _rows(session: Session, shapes: Mapping[str, Sequence[int]]) -> Sequence[Array] | None:
    specs = [(name, dtype, shapes.get(name, dims)) for name, dtype, dims in session.specs]
    for arrays in candidates(specs, is_batchable=False):  # of exactly these shapes
        if session.takes(arrays):
            return arrays
    return None
