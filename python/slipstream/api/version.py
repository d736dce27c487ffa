"""One loaded version of a model, and what it has done so far.

A reload makes a new version and swaps it in; requests that the old one accepted end there.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from slipstream.engine.answers import Answers
from slipstream.engine.quick import Quick, quick_call
from slipstream.engine.recurrence import Memory, Recurrence, recurrence_of
from slipstream.engine.runtime import (
    CoreDecoder,
    CoreEndpoint,
    CoreInputs,
    CoreLatencies,
    CoreModel,
)
from slipstream.engine.signature import Signature, signature_of
from slipstream.errors import UnavailableError
from slipstream.models.manifest import Manifest

_RATE_WINDOW_S = 60.0


class ModelMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Measured figures of one model since it was loaded; None where nothing was measured yet."""

    inference_count: int
    """Requests answered with a result."""
    error_count: int
    """Requests that failed in the backend, or because the model was unloaded."""
    total_inference_time_s: float
    """From admission to completion, summed over all answered requests."""
    average_inference_time_s: float
    last_inference_time_s: float | None
    """Of the last execution in the backend."""
    throughput_per_second: float
    """Requests answered per second, over at most the last minute between two looks."""
    last_used: float | None
    """Seconds since the epoch; None before the first request."""
    queue_depth: int
    restarts: int
    """Child processes started again after they died (``process`` backend)."""


class Totals(NamedTuple):
    """Counted over models. Requests that one refused before it accepted them count too."""

    answered: int
    failed: int
    """In the backend, or because the model was unloaded."""
    not_run: int
    """Refused by a full queue, late, or withdrawn."""
    latencies: CoreLatencies
    """From admission to completion, of those that ran."""

    def __sub__(self, earlier: Totals) -> Totals:
        return Totals(
            self.answered - earlier.answered,
            self.failed - earlier.failed,
            self.not_run - earlier.not_run,
            self.latencies - earlier.latencies,
        )

    @property
    def average_s(self) -> float | None:
        """None where nothing ran."""
        count = self.latencies.count
        return self.latencies.sum_ns / count / 1e9 if count else None


class Member(NamedTuple):
    """One member of an ensemble."""

    name: str
    model_id: str | None
    """Of a loaded model that the ensemble shares; None for one of its own."""
    model_path: str | None
    """As the ensemble file has it, of one of its own."""
    weight: float
    version: Version


class Version(NamedTuple):
    """Everything a request needs, read once so that a swap in between cannot mix two versions."""

    core: CoreModel
    manifest: Manifest
    folder: Path
    signature: Signature
    answers: Answers
    decoder: CoreDecoder
    endpoint: CoreEndpoint | None
    """The express way; None where the core alone cannot complete a request's inputs."""
    quick_predictions: Quick
    quick_probabilities: Quick
    load_time_s: float
    memory_usage_bytes: int | None
    rate: RateWindow
    process_id: int
    members: tuple[Member, ...] = ()
    """Of an ensemble whose members run in the core."""
    recurrence: Recurrence | None = None

    def completed(self, given: CoreInputs, memory: Memory | None) -> CoreInputs:
        """What a request brings, with the states and constants that it does not bring."""
        if self.recurrence is None:
            return given
        return self.recurrence.complete(given, memory)

    def require_own_process(self) -> None:
        """Refuses calls in a forked child, which has the memory of a core but not its threads.

        Raises:
            UnavailableError: this process did not load the model.
        """
        if os.getpid() != self.process_id:
            raise UnavailableError(
                "this model was loaded before the process forked, and its threads did not come "
                "along; make an Engine in each process"
            )


class RateWindow:
    """Throughput over the recent past, from counts taken whenever somebody looks. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def per_second(self, count: int) -> float:
        """The rate since the oldest look that is at most a minute old (or the last one before)."""
        now = time.monotonic()
        with self._lock:
            while len(self._looks) > 1 and now - self._looks[1][0] > _RATE_WINDOW_S:
                self._looks.popleft()
            then, before = self._looks[0]
            if now - self._looks[-1][0] >= 1.0:
                self._looks.append((now, count))
        return (count - before) / (now - then) if now > then else 0.0


def version_of(
    core: CoreModel,
    manifest: Manifest,
    folder: Path,
    load_time_s: float,
    memory_usage_bytes: int | None,
) -> Version:
    """Puts a version together; the signature and the answers follow from the rest.

    Raises:
        ModelLoadError: the model has not the states or constants that it is said to have.
    """
    recurrence = recurrence_of(manifest, core, str(folder))
    signature = signature_of(manifest, core, recurrence)
    answers = Answers(manifest, signature)
    decoder = signature.decoder()
    return Version(
        core=core,
        manifest=manifest,
        folder=folder,
        signature=signature,
        answers=answers,
        decoder=decoder,
        endpoint=answers.endpoint(core, decoder) if recurrence is None else None,
        quick_predictions=quick_call(core, signature, answers, probabilities=False),
        quick_probabilities=quick_call(core, signature, answers, probabilities=True),
        load_time_s=load_time_s,
        memory_usage_bytes=memory_usage_bytes,
        rate=RateWindow(),
        process_id=os.getpid(),
        recurrence=recurrence,
    )


def metrics_of(version: Version) -> ModelMetrics:
    """The figures of the core's own counters and histograms."""
    stats = version.core.stats()
    total = stats["stages"]["total"]
    idle_s = stats["idle_s"]
    return ModelMetrics(
        inference_count=stats["succeeded"],
        error_count=stats["failed"],
        total_inference_time_s=total["sum_ns"] / 1e9,
        average_inference_time_s=total["sum_ns"] / total["count"] / 1e9 if total["count"] else 0.0,
        last_inference_time_s=stats["last_execute_ns"] / 1e9 if stats["executions"] else None,
        throughput_per_second=version.rate.per_second(stats["succeeded"]),
        last_used=None if idle_s is None else time.time() - idle_s,
        queue_depth=stats["queue_size"],
        restarts=stats["restarts"],
    )


def totals_of(versions: Iterable[Version], before: Totals) -> Totals:
    """What these have counted, added to ``before``."""
    answered, failed, not_run, latencies = before
    for version in versions:
        stats = version.core.stats()
        answered += stats["succeeded"]
        failed += stats["failed"]
        not_run += stats["rejected"] + stats["abandoned"]
        latencies = latencies + version.core.latencies()
    return Totals(answered, failed, not_run, latencies)
