"""The proof at load: a converted model serves only if it answers as the original does.

Labels must be equal on every probe row; probabilities within 1e-5; regressions within 1e-5 of the
spread of the original answers. The rows run at once and, some of them, one by one: runtimes take
other paths for a single row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slipstream.adapters.base import Array, Served, quiet
from slipstream.convert import probe
from slipstream.convert.onnx_graph import INPUT, PREDICTIONS, PROBABILITIES
from slipstream.errors import MissingDependencyError

TOLERANCE = 1e-5
_SINGLE_ROWS = 48


@dataclass(frozen=True)
class Original:
    """The original's answers on the probe rows.

    ``rows`` is f64[n, width]; ``labels`` i64[n] class positions (classifiers), ``values`` the
    answers of others, ``probabilities`` [n, classes] or None.
    """

    rows: Array
    labels: Array | None
    values: Array | None
    probabilities: Array | None
    accepts_missing: bool


@dataclass(frozen=True)
class Verdict:
    """Whether the conversion agrees; ``text`` says how far off it is, with figures."""

    agrees: bool
    text: str


def ask_original(served: Served) -> Original:
    """Run the original on its probe rows, with missing values where it accepts them."""
    rows = probe.rows_for(served)
    accepts = accepts_missing(served, [rows[:4]])
    if accepts:
        rows = probe.with_missing(rows)
    with quiet():
        given = served.rows([rows])
        answers = served.predict(given)
        probabilities = None
        if served.predict_proba is not None:
            probabilities = np.asarray(served.predict_proba(given)[0], dtype=np.float64)
    if served.task != "classification":
        return Original(rows, None, answers, None, accepts)
    return Original(rows, positions(answers, served.classes[0]), None, probabilities, accepts)


def accepts_missing(served: Served, inputs: list[Array]) -> bool:
    """Whether the model answers when every number of a row may be missing."""
    holed = []
    for values in inputs:
        if values.dtype.kind == "f":
            values = values.copy()
            values[0] = np.nan
        holed.append(values)
    if not any(values.dtype.kind == "f" for values in holed):
        return False
    try:
        with quiet():
            served.predict(served.rows(holed))
    except Exception:  # whatever it raises, it does not accept them
        return False
    return True


def positions(labels: Array, classes: Array) -> Array:
    """i64[n]: where each label stands in ``classes``."""
    place = {value: number for number, value in enumerate(np.asarray(classes).tolist())}
    flat = np.asarray(labels).reshape(-1).tolist()
    return np.array([place[value] for value in flat], dtype=np.int64)


def session_of(model: bytes) -> Any:
    """An onnxruntime session with one thread, on the CPU.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"compiling a model needs onnxruntime ({error}): pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def prove(session: Any, original: Original) -> Verdict:
    """Compare the converted model in ``session`` with the original's answers."""
    dtype = np.float32 if session.get_inputs()[0].type == "tensor(float)" else np.float64
    names = [out.name for out in session.get_outputs()]
    batch = _run(session, names, original.rows.astype(dtype))
    verdict = _compare(batch, original, np.arange(len(original.rows)))
    if not verdict.agrees:
        return verdict
    chosen = np.linspace(0, len(original.rows) - 1, _SINGLE_ROWS).astype(int)
    single = [_run(session, names, original.rows[[at]].astype(dtype)) for at in chosen]
    joined = {name: np.concatenate([answer[name] for answer in single]) for name in names}
    return _compare(joined, original, chosen)


def _run(session: Any, names: list[str], rows: Array) -> dict[str, Array]:
    return dict(zip(names, session.run(names, {INPUT: rows}), strict=True))


def _compare(answers: dict[str, Array], original: Original, which: Array) -> Verdict:
    count = len(which)
    found = answers[PREDICTIONS]
    if original.labels is None:
        return _compare_values(found, np.asarray(original.values)[which])
    if found.dtype.kind not in "iu":
        return Verdict(False, f"the converted labels are {found.dtype}, not class positions")
    changed = int((found.reshape(-1) != original.labels[which]).sum())
    if changed:
        return Verdict(False, f"{changed} of {count} probe rows changed label")
    if original.probabilities is not None:
        if PROBABILITIES not in answers:
            return Verdict(False, "the converted model gives no probabilities")
        converted = answers[PROBABILITIES].astype(np.float64)
        if converted.shape != original.probabilities[which].shape:
            return Verdict(False, f"the converted probabilities have shape {converted.shape[1:]}")
        off = float(np.abs(converted - original.probabilities[which]).max())
        if not off <= TOLERANCE:
            return Verdict(False, f"probabilities differ by up to {off:.2g} on {count} probe rows")
    return Verdict(True, f"{count} probe rows agree")


def _compare_values(found: Array, expected: Array) -> Verdict:
    expected = expected.astype(np.float64)
    found = found.astype(np.float64)
    if found.shape != expected.shape and found.size == expected.size:
        return Verdict(False, f"the converted answers have shape {found.shape[1:]} a row")
    spread = float(np.ptp(expected)) or float(np.abs(expected).max()) or 1.0
    off = float(np.abs(found - expected).max()) / spread
    if not off <= TOLERANCE:
        return Verdict(
            False, f"answers differ by up to {off:.2g} of their spread on {len(found)} probe rows"
        )
    return Verdict(True, f"{len(found)} probe rows agree")
