"""The search itself, as a pure function of what was measured: it asks for candidates, and is told.

Coordinate descent: one dimension is varied at a time around the best candidate so far, round after
round, until a whole round brings nothing. It looks at a sum of alternatives instead of their
product, which is what a minute allows, and a later dimension may still change what an earlier one
found best, because every round looks again. Nothing is measured twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from slipstream.tune.candidates import Candidate, Dimension

LEAST_GAIN = 0.05
"""What a candidate must be better by: two measurements of the same one differ by some percent."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate does on this machine."""

    latency_p50_ms: float
    """Of one row, alone."""
    latency_p99_ms: float
    throughput_per_second: float
    """Rows per second, of requests of one row, many of them in progress."""
    accuracy_loss_percent: float | None = None
    """None for a candidate that answers as the original does."""


class Skipped(msgspec.Struct, frozen=True):
    """A candidate that was not measured."""

    reason: str


Outcome = Measured | Skipped


class Targets(NamedTuple):
    """What the model should reach; None: nothing in particular."""

    latency_ms: float | None = None
    """That the 99th percentile of one row stays within."""
    throughput_per_second: float | None = None

    def shortfall(self, measured: Measured) -> float:
        """How far the targets are missed, as a sum of shares; 0 when all are met."""
        short = 0.0
        if self.latency_ms is not None:
            short += max(0.0, measured.latency_p99_ms / self.latency_ms - 1.0)
        if self.throughput_per_second is not None:
            reached = max(measured.throughput_per_second, 1e-12)
            short += max(0.0, self.throughput_per_second / reached - 1.0)
        return short


NO_TARGETS = Targets()


def gain(measured: Measured, other: Measured) -> float:
    """How much better than ``other``: log of the ratios of speed alone and of throughput, halved.

    0 is as good, `math.log(2)` twice as good in both (or four times in one).
    """
    latency = max(other.latency_p50_ms, 1e-12) / max(measured.latency_p50_ms, 1e-12)
    rate = max(measured.throughput_per_second, 1e-12) / max(other.throughput_per_second, 1e-12)
    return (math.log(latency) + math.log(rate)) / 2


def is_better(measured: Measured, other: Measured, targets: Targets) -> bool:
    """Whether to prefer it: first by the targets, then by `gain`; by more than chance."""
    short, other_short = targets.shortfall(measured), targets.shortfall(other)
    if (short == 0) != (other_short == 0):
        return short == 0
    if short > 0 and abs(short - other_short) > LEAST_GAIN * other_short:
        return short < other_short
    return gain(measured, other) > LEAST_GAIN


class Search:
    """Asks for one candidate after the other. Not thread-safe.

    ``ask`` and ``tell`` alternate; whoever runs it may stop at any time, and `best` is the best of
    what was told.
    """

    def __init__(
        self, start: Candidate, space: Sequence[Dimension], targets: Targets = NO_TARGETS
    ) -> None:
        self.start = start
        self.targets = targets
        self.best = start
        self.outcomes: dict[Candidate, Outcome] = {}
        """In the order in which they were told."""
        self._space = space
        self._told_why: set[tuple[str, int]] = set()  # of alternatives that are not tried
        self._asked: Candidate | None = None
        self._steps = self._walk()
        self._is_over = False

    def ask(self) -> Candidate | None:
        """The next candidate to measure; None: the search is over."""
        assert self._asked is None, "tell what came of the last one first"
        if not self._is_over:
            self._asked = next(self._steps, None)
            self._is_over = self._asked is None
        return self._asked

    def tell(self, outcome: Outcome) -> None:
        """What came of the candidate asked for."""
        assert self._asked is not None, "ask first"
        self._note(self._asked, outcome)
        self._asked = None

    def end(self, reason: str) -> None:
        """Ends it before it is over: what this round would still have tried is skipped for that."""
        self._is_over = True
        for dimension in self._space:
            for _ in self._along(dimension, reason):
                raise AssertionError("there is a reason to skip every one")

    def confirm(self, best: Outcome, start: Outcome) -> None:
        """Second measurements of `best` and of `start`, one right after the other.

        Of many candidates that differ by chance only, one always looks better; it rarely does so
        twice. One that does not stay better is given up, and `best` is the start again.
        """
        is_confirmed = (
            isinstance(best, Measured)
            and isinstance(start, Measured)
            and is_better(best, start, self.targets)
        )
        if not is_confirmed:
            self.best = self.start

    @property
    def best_measured(self) -> Measured | None:
        """What the best candidate does; None before the first was measured."""
        outcome = self.outcomes.get(self.best)
        return outcome if isinstance(outcome, Measured) else None

    def _note(self, candidate: Candidate, outcome: Outcome) -> None:
        self.outcomes[candidate] = outcome
        if isinstance(outcome, Skipped):
            return
        known = self.best_measured
        if known is None or is_better(outcome, known, self.targets):
            self.best = candidate

    def _walk(self) -> Iterator[Candidate]:
        yield self.start
        if self.best_measured is None:
            return  # how it runs now cannot be measured: there is nothing to compare with
        is_first, before = True, self.start
        while is_first or self.best != before:
            is_first, before = False, self.best
            for dimension in self._space:
                yield from self._along(dimension)

    def _along(self, dimension: Dimension, skip_all: str | None = None) -> Iterator[Candidate]:
        center = self.best
        for place, alternative in enumerate(dimension.alternatives):
            candidate = alternative.of(center)
            if candidate in self.outcomes:
                continue
            why_not = alternative.why_not or skip_all
            if why_not is None:
                yield candidate
            elif (dimension.name, place) not in self._told_why:
                self._told_why.add((dimension.name, place))
                self._note(candidate, Skipped(why_not))
