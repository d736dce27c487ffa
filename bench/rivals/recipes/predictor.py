"""The model in ONNX Runtime, as every rival runs it: one thread, one output.

Runs in the rivals' environments, which hold neither slipstream nor bench.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

BATCHING = os.environ.get("BENCH_BATCHING") == "1"
MAX_BATCH = 32
WAIT_MS = 1
PORT = int(os.environ.get("BENCH_PORT", "8000"))


class Predictor:
    """The model that BENCH_MODEL names, asked for the output BENCH_OUTPUT."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._output = os.environ["BENCH_OUTPUT"]

    def one(self, rows: Any) -> np.ndarray:
        """The answers to the rows of one request."""
        feed = {self._input: np.asarray(rows, dtype=np.float32)}
        answers: np.ndarray = self._session.run([self._output], feed)[0]
        return answers

    def many(self, requests: Sequence[Any]) -> list[np.ndarray]:
        """The answers to several requests, from one execution."""
        tables = [np.asarray(rows, dtype=np.float32) for rows in requests]
        ends = np.cumsum([len(table) for table in tables])[:-1]
        return np.split(self.one(np.concatenate(tables)), ends)
