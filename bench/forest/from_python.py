"""From Python: ``slipstream.Engine`` beside the wrapper that its users call today.

Both answer in this one process, on one core, in turn; the wrapper with one thread, because its
pool would compete with itself there. Every figure includes the Python around the work.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from bench.forest import environments, rows, train
from bench.forest import measure as measured
from bench.forest.cases import CASES, Case
from bench.forest.goals import PYTHON_BATCHES, WRAPPER
from bench.lib import answers, interleave, spread
from bench.lib.interleave import Plan
from slipstream import Engine

ENGINE = "Engine's predict_proba"
_ROWS = 16384
_TOLERANCE = answers.Tolerance(relative=1e-6, absolute=1e-15)
_FLOAT32_TOLERANCE = answers.Tolerance(relative=2e-5, absolute=5e-7)
Predict = Callable[[Any], Any]


def measure(case: Case, plan: Plan) -> dict[str, Any]:
    """Compares the answers, then times both; the result is plain data for the JSON file.

    It happens in a fresh interpreter on one core, whose libraries never see the others: a pool that
    was sized for all cores would fight with itself on one.

    Raises:
        SetupError: the interpreter failed; the text is the end of what it said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "figures.json"
        command = [sys.executable, "-m", "bench.forest.from_python", case.name]
        words = ["env", "OMP_NUM_THREADS=1", *command, json.dumps(plan), str(file)]
        environments.call(words)
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found


def main(name: str, plan: str, file: str) -> None:
    """What the fresh interpreter does: ``NAME PLAN FILE``, the plan as a JSON list."""
    case = CASES[name]
    folder = measured.folder_of(case)
    train.train(case, folder)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as state, Engine(state_dir=Path(state)) as engine:
        found = _measure(case, folder, Plan(*json.loads(plan)), engine)
    Path(file).write_text(json.dumps(found), encoding="utf-8")


def _measure(case: Case, folder: Path, plan: Plan, engine: Engine) -> dict[str, Any]:
    warnings.filterwarnings("ignore", "X does not have valid feature names")
    wrapper = joblib.load(folder / train.MODEL)
    if hasattr(wrapper, "n_jobs"):
        wrapper.n_jobs = 1
    ours = engine.load(folder / train.MODEL)
    x = rows.plain_rows(case, _ROWS, seed=3).astype(case.dtype)
    entries = []
    for batch in PYTHON_BATCHES:
        compared = _compare(case, ours.predict_proba, wrapper.predict_proba, x, batch)
        contenders = [
            interleave.Contender(name, timer(predict, x, batch), batch)
            for name, predict in ((ENGINE, ours.predict_proba), (WRAPPER, wrapper.predict_proba))
        ]
        mine, theirs = interleave.run(contenders, plan, seed=batch)
        measured = mine.spread is not None and theirs.spread is not None
        entries.append(
            {
                "batch": batch,
                "rows_compared": compared.rows,
                "wrong_rows": compared.wrong_rows,
                "engine_ns_per_row": mine.spread._asdict() if mine.spread else None,
                "wrapper_ns_per_row": theirs.spread._asdict() if theirs.spread else None,
                "left_out": mine.left_out or theirs.left_out,
                "ratio": spread.ratio(mine.ns_per_row, theirs.ns_per_row)._asdict()
                if measured
                else None,
            }
        )
    return {"case": case.name, "title": case.title, "backend": ours.backend, "batches": entries}


def _compare(case: Case, ours: Predict, theirs: Predict, x: Any, batch: int) -> answers.Comparison:
    """The answers to the first rows, asked for in batches of the size that will be timed."""
    parts = [
        x[start : start + batch] for start in range(0, batch * min(64, len(x) // batch), batch)
    ]
    expected = np.concatenate([theirs(part) for part in parts])
    got = np.concatenate([ours(part) for part in parts])
    tolerance = _FLOAT32_TOLERANCE if case.library == "xgboost" else _TOLERANCE
    return answers.compare(got, expected, tolerance, np.minimum(expected, 1 - expected))


def timer(predict: Predict, x: Any, batch: int) -> interleave.Timer:
    """Times calls that go through the rows of ``x`` again and again."""
    parts = [x[start : start + batch] for start in range(0, len(x) - batch + 1, batch)]
    place = 0

    def run(calls: int) -> int:
        nonlocal place
        turn = [parts[(place + i) % len(parts)] for i in range(calls)]
        place += calls
        begin = time.perf_counter_ns()
        for part in turn:
            predict(part)
        return time.perf_counter_ns() - begin

    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
