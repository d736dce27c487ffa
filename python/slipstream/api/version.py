"""One loaded version of a model, and what it has done so far.

A reload makes a new version and swaps it in; requests that the old one accepted end there.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from slipstream.api.placement import ON_CPU, Placement
from slipstream.api.resting import RestingCore
from slipstream.engine.answers import Answers
from slipstream.engine.quick import Quick, never, quick_call
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
from slipstream.models.ensembles import Described
from slipstream.models.manifest import Manifest
from slipstream.models.sidecar import Sidecar

_RATE_WINDOW_S = 60.0
_next_serial = itertools.count(1).__next__


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
    """Child processes started again after they died (``process`` backend), and lost devices that
    came back."""
    lost_device: str | None
    """Why a device that it computes on is lost; None while none is."""


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

    core: CoreModel | RestingCore
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
    sidecar: Sidecar
    """What its operator says of it."""
    serial: int
    """Of this version and no other; it keeps it when it comes back into memory."""
    rate: RateWindow
    process_id: int
    members: tuple[Member, ...] = ()
    """Of an ensemble whose members run in the core."""
    recurrence: Recurrence | None = None
    description: Described | None = None
    """Of an ensemble file, for when a member changes."""
    placement: Placement = ON_CPU
    """Where it computes."""

    @property
    def worker_artifacts(self) -> list[Path]:
        """What runs in child processes of it, or of a member of its own."""
        own = [self.folder / self.manifest.artifact] if self.manifest.backend == "process" else []
        for member in self.members:
            own += member.version.worker_artifacts if member.model_id is None else []
        return own

    @property
    def running(self) -> CoreModel:
        """Its core, while it is in memory.

        Raises:
            UnavailableError: it rests.
        """
        if isinstance(self.core, RestingCore):
            raise UnavailableError("the model was evicted meanwhile; try again")
        return self.core

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
    sidecar: Sidecar,
) -> Version:
    """Puts a version together; the signature and the answers follow from the rest.

    Raises:
        ModelLoadError: the model has not the states or constants that it is said to have.
    """
    recurrence = recurrence_of(manifest, core, str(folder))
    signature = signature_of(manifest, core, recurrence, takes_text=sidecar.text is not None)
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
        load_time_s=0.0,
        memory_usage_bytes=None,
        sidecar=sidecar,
        serial=_next_serial(),
        rate=RateWindow(),
        process_id=os.getpid(),
        recurrence=recurrence,
    )


def resting(version: Version) -> Version:
    """The same version without anything that holds on to its core's model."""
    return version._replace(
        core=RestingCore(),
        members=tuple(one._replace(version=resting(one.version)) for one in version.members),
        endpoint=None,
        quick_predictions=never,
        quick_probabilities=never,
        memory_usage_bytes=0,
    )


class Counted(NamedTuple):
    """What one version did, over all the times that it was in memory."""

    answered: int = 0
    failed: int = 0
    ran: int = 0
    total_ns: int = 0
    """Summed over those that ran."""
    restarts: int = 0
    last_execute_ns: int | None = None
    used_at: float | None = None
    """Seconds since the epoch."""


def counted(version: Version, before: Counted) -> Counted:
    """The core's own counters, added to what came before."""
    if isinstance(version.core, RestingCore):
        return before
    stats = version.core.stats()
    total, idle_s = stats["stages"]["total"], stats["idle_s"]
    return Counted(
        answered=before.answered + stats["succeeded"],
        failed=before.failed + stats["failed"],
        ran=before.ran + total["count"],
        total_ns=before.total_ns + total["sum_ns"],
        restarts=before.restarts + stats["restarts"],
        last_execute_ns=stats["last_execute_ns"] if stats["executions"] else before.last_execute_ns,
        used_at=before.used_at if idle_s is None else time.time() - idle_s,
    )


def metrics_of(version: Version, so_far: Counted, waiting: int) -> ModelMetrics:
    """Figures of a version that has counted ``so_far``; ``waiting``: for it to come back."""
    used_at, last_ns = so_far.used_at, so_far.last_execute_ns
    queued, lost = 0, None
    if not isinstance(version.core, RestingCore):
        stats = version.core.stats()
        queued, lost = stats["queue_size"], stats["lost"]
    return ModelMetrics(
        inference_count=so_far.answered,
        error_count=so_far.failed,
        total_inference_time_s=so_far.total_ns / 1e9,
        average_inference_time_s=so_far.total_ns / so_far.ran / 1e9 if so_far.ran else 0.0,
        last_inference_time_s=None if last_ns is None else last_ns / 1e9,
        throughput_per_second=version.rate.per_second(so_far.answered),
        last_used=used_at,
        queue_depth=queued + waiting,
        restarts=so_far.restarts,
        lost_device=lost,
    )


def totals_of(versions: Iterable[Version], before: Totals) -> Totals:
    """What these have counted, added to ``before``."""
    answered, failed, not_run, latencies = before
    for version in versions:
        if isinstance(version.core, RestingCore):
            continue  # what it did was counted when it was closed
        stats = version.core.stats()
        answered += stats["succeeded"]
        failed += stats["failed"]
        not_run += stats["rejected"] + stats["abandoned"]
        latencies = latencies + version.core.latencies()
    return Totals(answered, failed, not_run, latencies)
