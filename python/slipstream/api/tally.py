"""What is counted of the variants and shadows of an experiment. Thread-safe; fixed memory."""

from __future__ import annotations

import threading
from typing import NamedTuple

from slipstream.api.agreement import Agreement
from slipstream.engine.runtime import CoreLatencies, LatencyHistogram


class Latency(NamedTuple):
    """Of the requests that were answered; None where there were none. Seconds, to 1.6%."""

    answers: int
    mean_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


def latency_of(latencies: CoreLatencies) -> Latency:
    """The figures of a histogram."""
    count = latencies.count
    if not count:
        return Latency(0, None, None, None, None)
    p50, p95, p99 = (latencies.percentile_ns(percent) / 1e9 for percent in (50, 95, 99))
    return Latency(count, latencies.sum_ns / count / 1e9, p50, p95, p99)


class VariantCounts(NamedTuple):
    """One look at a variant."""

    drawn: int
    """Requests that it was to answer: those it answered, those that failed, those in progress."""
    answered: int
    failed: int
    latency: Latency


class VariantTally:
    """Counts what one variant was drawn for, while it is a member."""

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id
        self._lock = threading.Lock()
        self._drawn = 0
        self._answered = 0
        self._failed = 0
        self._latency = LatencyHistogram()

    def note_drawn(self, count: int = 1) -> None:
        """A request goes to it; -1: not, after all."""
        with self._lock:
            self._drawn += count

    def note_answer(self, time_s: float) -> None:
        """One of them was answered, so long after it was admitted."""
        with self._lock:
            self._answered += 1
            self._latency.record_ns(round(time_s * 1e9))

    def note_error(self) -> None:
        """One of them was not."""
        with self._lock:
            self._failed += 1

    def counts(self) -> VariantCounts:
        """All of them at one moment."""
        with self._lock:
            counts = self._drawn, self._answered, self._failed
            latencies = self._latency.snapshot()
        return VariantCounts(*counts, latency_of(latencies))


class ShadowCounts(NamedTuple):
    """One look at a shadow."""

    agreement: Agreement
    """Over all rows that were compared."""
    failed: int
    dropped: int
    latency: Latency


class ShadowTally:
    """Counts what became of the copies that one shadow was to get."""

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id
        self._lock = threading.Lock()
        self._agreement = Agreement()
        self._failed = 0
        self._dropped = 0
        self._latency = LatencyHistogram()

    def note_answer(self, time_s: float) -> None:
        """It answered a copy, so long after the copy was admitted."""
        with self._lock:
            self._latency.record_ns(round(time_s * 1e9))

    def note_comparison(self, agreement: Agreement) -> None:
        """Its answer was held against the one that was returned."""
        with self._lock:
            self._agreement = self._agreement.plus(agreement)

    def note_error(self) -> None:
        """It failed on a copy."""
        with self._lock:
            self._failed += 1

    def note_dropped(self) -> None:
        """A copy was not made, or not run: there were too many, or its queue was full."""
        with self._lock:
            self._dropped += 1

    def counts(self) -> ShadowCounts:
        """All of them at one moment."""
        with self._lock:
            counts = self._agreement, self._failed, self._dropped
            latencies = self._latency.snapshot()
        return ShadowCounts(*counts, latency_of(latencies))
