"""Whether a rival answers as the library that trained the model: wrong rows, per kind of row.

The reference is the library's own ``predict_proba``. A rival that computes in double must agree
within 1e-6 of the probability or of its complement, whichever is smaller; one that sums or answers
in float32 gets the room that its rounding needs, far below what one wrong decision in one tree
changes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import numpy.typing as npt

from bench.forest import processes, rows, train
from bench.forest.cases import Case
from bench.forest.rivals import RIVALS, Ready
from bench.lib import answers

KINDS = ("plain", "missing", "thresholds", "beside")
_EXACT = answers.Tolerance(relative=1e-6, absolute=1e-15)
_FLOAT32 = answers.Tolerance(relative=2e-5, absolute=5e-7)
_FLOAT32_RIVALS = {rival.name for rival in RIVALS if rival.float32_answers}
_BATCH = 1024


class Check(NamedTuple):
    """How one rival answered one kind of row."""

    kind: str
    rows: int
    wrong_rows: int
    largest_difference: float


def write_matrix(stem: Path, x: rows.Rows) -> None:
    """Writes ``x`` as the raw files that drivers map: ``stem.f64`` and, rounded, ``stem.f32``."""
    x.astype("<f8").tofile(f"{stem}.f64")
    x.astype("<f4").tofile(f"{stem}.f32")


def check(
    case: Case, folder: Path, ready: dict[str, Ready], count: int
) -> dict[str, list[Check] | str]:
    """Every rival's checks by name; a text where it failed to load or to answer.

    Each rival gets a process of its own, so that one that crashes takes nobody with it.

    Args:
        case: Whose model.
        folder: Of the case, with the trained model.
        ready: The rivals.
        count: Rows of each kind.
    """
    model = joblib.load(folder / train.MODEL)
    with tempfile.TemporaryDirectory(dir=folder, prefix="check-") as scratch:
        stems = {}
        expected = {}
        for kind in KINDS:
            x = _rows_of(kind, case, model, count)
            stems[kind] = Path(scratch) / kind
            write_matrix(stems[kind], x)
            expected[kind] = model.predict_proba(x.astype(case.dtype))
        found: dict[str, list[Check] | str] = {}
        for name, rival in ready.items():
            try:
                found[name] = _check_one(case, name, rival, stems, expected)
            except processes.WorkerError as error:
                found[name] = str(error)
    return found


def _rows_of(kind: str, case: Case, model: Any, count: int) -> rows.Rows:
    if kind == "plain":
        return rows.plain_rows(case, count, seed=2)
    if kind == "missing":
        return rows.rows_with_missing(case, count)
    draw = rows.rows_on_thresholds if kind == "thresholds" else rows.rows_beside_thresholds
    return draw(case, count, train.thresholds(case, model))


def _check_one(
    case: Case,
    name: str,
    rival: Ready,
    stems: dict[str, Path],
    expected: dict[str, npt.NDArray[Any]],
) -> list[Check]:
    start = processes.start_python if rival.in_python else processes.start_driver
    float32 = name in _FLOAT32_RIVALS or case.library == "xgboost"
    found = []
    with start(1, None) as worker:
        outputs = worker.load(name, rival, case.features)
        for kind, stem in stems.items():
            right = expected[kind]
            worker.data(kind, stem, len(right), case.features)
            file = stem.with_suffix(".answers")
            worker.ask("answer", name, kind, _BATCH, file)
            got = np.fromfile(file, "<f8").reshape(len(right), outputs)
            if outputs == 1:  # the probability of the second class is the answer
                right = right[:, 1:]
            compared = answers.compare(
                got, right, _FLOAT32 if float32 else _EXACT, np.minimum(right, 1 - right)
            )
            found.append(Check(kind, *compared))
    return found
