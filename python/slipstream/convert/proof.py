"""The proof at load: a converted model serves only if it answers as the original does.

Labels must be equal on every probe row. Numbers must be as close as `Tolerance` says: to the last
digits where the converted model sums as the original does. The rows run at once and, some of them,
one by one: runtimes take other paths for a single row.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from slipstream.adapters.base import Array, Served, quiet
from slipstream.convert import probe, probe_cells, probe_tables
from slipstream.convert.onnx_graph import INPUT, PREDICTIONS, PROBABILITIES
from slipstream.convert.probe_cells import Refused
from slipstream.errors import MissingDependencyError

_SINGLE_ROWS = 48
_FEW_ROWS = 8
_WIDE = 256


@dataclass(frozen=True)
class Tolerance:
    """How far numbers may be off.

    Attributes:
        share: Of each number itself.
        of_spread: Of the spread of the original's answers (1 for probabilities).
        ulps32: Units in the last place of float32 answers.
    """

    share: float
    of_spread: float
    ulps32: int


APPROXIMATE = Tolerance(share=0.0, of_spread=1e-5, ulps32=0)
"""For graphs of another runtime."""
SAME_SUMS = Tolerance(share=1e-9, of_spread=1e-13, ulps32=2)
"""For programs that add in the original's order."""
SAME_TERMS = Tolerance(share=1e-9, of_spread=1e-9, ulps32=2)
"""For programs with a matrix product, whose terms are the original's in another order."""


class Converted(Protocol):
    """A converted model, ready to run."""

    def run(self, inputs: list[Array]) -> dict[str, Array]:
        """Outputs by name."""
        ...


@dataclass(frozen=True)
class Original:
    """The original's answers on the probe rows.

    Attributes:
        inputs: One array per input, of as many rows each.
        answers: What ``predict`` gave; i64 class positions for a classifier of one target.
        exact: Whether the answers are labels (or 1 and -1), which must be equal.
        probabilities: One array per target; empty if it gives none.
        refused: What the model raises for.
    """

    inputs: list[Array]
    answers: Array
    exact: bool
    probabilities: list[Array]
    refused: Refused


@dataclass(frozen=True)
class Verdict:
    """Whether the conversion agrees; ``text`` says how far off it is, with figures."""

    agrees: bool
    text: str


def ask_original(served: Served) -> Original:
    """Run the original on its probe rows, with missing values where it accepts them."""
    inputs = probe_tables.inputs_for(served)
    refused = probe_cells.refused(served, inputs)
    inputs = [
        np.where(no, values, probe.with_missing(values, seed=1 + place))
        if values.dtype.kind == "f"
        else values
        for place, (values, no) in enumerate(zip(inputs, refused.missing, strict=True))
    ]
    with quiet(), _one_thread():
        given = served.rows(inputs)
        answers = served.predict(given)
        probabilities = [] if served.predict_proba is None else served.predict_proba(given)
    if served.task == "classification" and len(served.classes) == 1 and answers.ndim == 1:
        answers = positions(answers, served.classes[0])
    exact = served.task in ("classification", "outlier")
    return Original(inputs, answers, exact, probabilities, refused)


def first_rows(original: Original) -> tuple[tuple[bool | float | str | None, ...], ...]:
    """A few of the rows that were asked, as JSON has them; one of wide models."""
    cells = len(original.inputs) * np.size(original.inputs[0][0])
    count = _FEW_ROWS if cells <= _WIDE else 1
    rows = [
        [cell for part in at for cell in np.ravel(part).tolist()]
        for at in zip(*(values[:count] for values in original.inputs), strict=True)
    ]
    return tuple(tuple(None if cell != cell else cell for cell in row) for row in rows)


def _one_thread() -> AbstractContextManager[Any]:
    """scikit-learn's members one after the other: side by side, their sums come in any order."""
    try:
        import joblib
    except ImportError:  # then there is no scikit-learn
        return nullcontext()
    context: AbstractContextManager[Any] = joblib.parallel_config(backend="sequential")
    return context


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
    return probe_tables.answers(served, holed)


def positions(labels: Array, classes: Array) -> Array:
    """i64[n]: where each label stands in ``classes``."""
    place = {value: number for number, value in enumerate(np.asarray(classes).tolist())}
    flat = np.asarray(labels).reshape(-1).tolist()
    return np.array([place[value] for value in flat], dtype=np.int64)


class OnnxSession:
    """An onnxruntime session with one thread, on the CPU."""

    def __init__(self, model: bytes) -> None:
        """Load a graph whose one input is ``input``.

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
        self.session: Any = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def run(self, inputs: list[Array]) -> dict[str, Array]:
        """Outputs by name; takes rows in any floating type."""
        kind = self.session.get_inputs()[0].type
        rows = inputs[0].astype(np.float32 if kind == "tensor(float)" else np.float64)
        names = [out.name for out in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, {INPUT: rows}), strict=True))


def prove(converted: Converted, original: Original, tolerance: Tolerance) -> Verdict:
    """Compare the converted model with the original's answers."""
    count = len(original.answers)
    batch = converted.run(original.inputs)
    verdict = _compare(batch, original, np.arange(count), tolerance)
    if not verdict.agrees:
        return verdict
    chosen = np.unique(np.linspace(0, count - 1, _SINGLE_ROWS).astype(int))
    single = [
        converted.run([np.ascontiguousarray(values[at : at + 1]) for values in original.inputs])
        for at in chosen
    ]
    joined = {name: np.concatenate([answer[name] for answer in single]) for name in batch}
    verdict = _compare(joined, original, chosen, tolerance)
    return Verdict(True, f"{count} probe rows agree") if verdict.agrees else verdict


def _compare(
    answers: dict[str, Array], original: Original, which: Array, tolerance: Tolerance
) -> Verdict:
    count = len(which)
    found, expected = answers[PREDICTIONS], original.answers[which]
    if not original.exact:
        return _compare_numbers(found, expected, tolerance, "answers")
    if expected.dtype.kind in "iu" and found.dtype.kind not in "iu":
        return Verdict(False, f"the converted labels are {found.dtype}, not class positions")
    if found.shape != expected.shape:
        return Verdict(False, f"the converted labels have shape {found.shape[1:]} a row")
    wrong = np.asarray(found != expected).reshape(count, -1).any(axis=1)
    if wrong.any():
        return Verdict(False, f"{int(wrong.sum())} of {count} probe rows changed label")
    names = probability_names(len(original.probabilities))
    for name, table in zip(names, original.probabilities, strict=True):
        if name not in answers:
            return Verdict(False, "the converted model gives no probabilities")
        verdict = _compare_numbers(answers[name], table[which], tolerance, "probabilities")
        if not verdict.agrees:
            return verdict
    return Verdict(True, f"{count} probe rows agree")


def probability_names(targets: int) -> list[str]:
    """The outputs that hold probabilities, in the order of the targets."""
    if targets < 2:
        return [PROBABILITIES] * targets
    return [f"{PROBABILITIES}_{number}" for number in range(targets)]


def _compare_numbers(found: Array, expected: Array, tolerance: Tolerance, what: str) -> Verdict:
    if found.shape != expected.shape:
        return Verdict(False, f"the converted {what} have shape {found.shape[1:]} a row")
    spread = 1.0
    if what != "probabilities":
        spread = float(np.ptp(expected)) or float(np.abs(expected).max()) or 1.0
    numbers = expected.astype(np.float64)
    allowed = tolerance.share * np.abs(numbers) + tolerance.of_spread * spread
    if expected.dtype == np.float32 and tolerance.ulps32:
        least = 0.5 if what == "probabilities" else 0.0  # what 1 - p leaves of p's last place
        steps = np.spacing(np.maximum(np.abs(expected), np.float32(least)))
        allowed = allowed + tolerance.ulps32 * steps.astype(np.float64)
    off = np.abs(found.astype(np.float64) - numbers)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    if not (same | (off <= allowed)).all():
        worst = float(np.nanmax(np.where(same, 0.0, off))) / spread
        scale = "" if what == "probabilities" else " of their spread"
        return Verdict(
            False, f"{what} differ by up to {worst:.2g}{scale} on {len(found)} probe rows"
        )
    return Verdict(True, f"{len(found)} probe rows agree")
