"""Holds rivals that only Python can call; understands the driver's commands on standard input.

Run as ``python -m bench.forest.python_rival`` by `bench.forest.processes`. What it times includes
the Python around the library, as it does for the library's users.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np


class Held:
    """The rivals and matrices of this process."""

    def __init__(self) -> None:
        self.rivals: dict[str, tuple[Callable[[Any], Any], str]] = {}
        self.data: dict[str, dict[str, Any]] = {}
        self.next_row: dict[str, int] = {}

    def do(self, command: str, *fields: str) -> list[object]:
        """Carries out a command; any exception is its refusal."""
        actions: dict[str, Callable[..., list[object]]] = {
            "pin": self.pin,
            "data": self.open,
            "load": self.load,
            "time": self.time,
            "answer": self.answer,
        }
        return actions[command](*fields)

    def pin(self, cpu: str) -> list[object]:
        os.sched_setaffinity(0, {int(cpu)})
        return []

    def open(self, name: str, float64: str, float32: str, rows: str, columns: str) -> list[object]:
        shape = (int(rows), int(columns))
        self.data[name] = {
            kind: np.fromfile(file, kind).reshape(shape)
            for kind, file in (("float64", float64), ("float32", float32))
        }
        return []

    def load(self, name: str, kind: str, *pairs: str) -> list[object]:
        if kind != "scikit-learn":
            raise ValueError(f"no rival of kind {kind!r} can be called from Python")
        options = dict(pair.partition("=")[::2] for pair in pairs)
        model = joblib.load(options["artifact"])
        if hasattr(model, "n_jobs"):
            model.n_jobs = int(options["threads"])
        self.rivals[name] = (model.predict_proba, options["dtype"])
        return [options["dtype"], len(model.classes_)]

    def time(self, name: str, data: str, batch: str, calls: str) -> list[object]:
        predict, dtype = self.rivals[name]
        x, size, row = self.data[data][dtype], int(batch), self.next_row.get(name, 0)
        starts = []
        for _ in range(int(calls)):
            if row + size > len(x):
                row = 0
            starts.append(row)
            row += size
        self.next_row[name] = row
        begin = time.perf_counter_ns()
        for start in starts:
            predict(x[start : start + size])
        return [time.perf_counter_ns() - begin]

    def answer(self, name: str, data: str, batch: str, file: str) -> list[object]:
        predict, dtype = self.rivals[name]
        x, size = self.data[data][dtype], int(batch)
        parts = [predict(x[start : start + size]) for start in range(0, len(x), size)]
        np.concatenate(parts).astype(np.float64).tofile(file)
        return []


def main() -> None:
    """Answers commands until standard input ends."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    held = Held()
    for line in sys.stdin:
        try:
            words = ["ok", *held.do(*line.rstrip("\n").split("\t"))]
        except Exception as error:
            words = ["error", " ".join(f"{type(error).__name__}: {error}".split())]
        answers.write("\t".join(map(str, words)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
