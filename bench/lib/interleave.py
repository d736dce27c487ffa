"""Times contenders in turn: A B C, then B C A, in an order drawn anew for every round.

A machine that slows down for a second then slows all of them, and a ratio taken within one round is
free of it. Every contender times its own blocks (of several calls), so that a contender in another
process does not pay for the pipe to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.lib.spread import Spread, spread_of

Timer = Callable[[int], int]
"""Makes that many calls, one after the other, and returns the nanoseconds they took together."""


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int
    least_rounds: int
    """Rounds are cut down to this many, but no further, where ``budget_s`` would be exceeded."""
    block_ms: float
    """How long a block should take; at least one call, however long that is."""
    budget_s: float
    """For one `run`, about; calibration comes on top."""
    longest_call_s: float
    """A contender whose one call takes longer is left out, and the series says so."""
    settle_ms: float = 0.0
    """Pause before every block, for threads of the one before to stop spinning."""


FULL = Plan(rounds=21, least_rounds=5, block_ms=20.0, budget_s=12.0, longest_call_s=3.0)
QUICK = Plan(rounds=3, least_rounds=3, block_ms=2.0, budget_s=1.0, longest_call_s=0.5)


class Contender(NamedTuple):
    """One thing to time."""

    name: str
    time: Timer
    rows_per_call: int = 1


@dataclass
class Series:
    """What one contender took, one sample a round; empty when it was left out."""

    name: str
    calls_per_block: int = 0
    ns_per_row: list[float] = field(default_factory=list)
    left_out: str | None = None
    """Why there are no samples; None when there are."""

    @property
    def spread(self) -> Spread | None:
        """Of the nanoseconds per row; None when left out."""
        return spread_of(self.ns_per_row) if self.ns_per_row else None


class ContenderFailedError(Exception):
    """A contender could not be timed. Raised by timers; leaves that contender out, with the text.

    Anything else that a timer raises ends the run: it is a mistake in the benchmark.
    """


def run(
    contenders: Sequence[Contender],
    plan: Plan,
    seed: int = 0,
    sleep: Callable[[float], None] | None = None,
) -> list[Series]:
    """Calibrates every contender and times those that are quick enough, in turn.

    Args:
        contenders: Names are unique.
        plan: See `Plan`.
        seed: Of the order within the rounds.
        sleep: Pauses for that many seconds; called before blocks if ``plan.settle_ms`` is set.

    Returns:
        One series per contender, in the order given. Samples at the same place of two series were
        taken in the same round.
    """
    every = [Series(contender.name) for contender in contenders]
    going: list[tuple[Contender, Series]] = []
    block_ns = 0.0
    for contender, series in zip(contenders, every, strict=True):
        try:
            calls, call_ns = _calibrate(contender.time, plan)
        except ContenderFailedError as error:
            series.left_out = str(error)
            continue
        if call_ns > plan.longest_call_s * 1e9:
            series.left_out = f"one call takes {call_ns / 1e9:.2g} s"
            continue
        series.calls_per_block = calls
        block_ns += calls * call_ns
        going.append((contender, series))
    affordable = int(plan.budget_s * 1e9 / block_ns) if block_ns else 0
    rounds = max(plan.least_rounds, min(plan.rounds, affordable))
    shuffled = random.Random(seed)
    for _ in range(rounds):
        shuffled.shuffle(going)
        for contender, series in list(going):
            if plan.settle_ms and sleep is not None:
                sleep(plan.settle_ms / 1e3)
            try:
                elapsed = contender.time(series.calls_per_block)
            except ContenderFailedError as error:
                series.left_out, series.ns_per_row = str(error), []
                going.remove((contender, series))
                continue
            series.ns_per_row.append(elapsed / (series.calls_per_block * contender.rows_per_call))
    return every


def _calibrate(timer: Timer, plan: Plan) -> tuple[int, float]:
    """Calls per block and nanoseconds per call; what it spends on that is the warm-up.

    A first call may be anything (a page fault, a lazily built table), so it counts only when it
    is so slow that a second one cannot be afforded.
    """
    wanted_ns = plan.block_ms * 1e6
    elapsed = timer(1)
    if elapsed > plan.longest_call_s * 1e9:
        return 1, elapsed
    calls = 1
    elapsed = timer(calls)
    while elapsed < wanted_ns / 2:
        calls = min(calls * 8, int(calls * wanted_ns / max(elapsed, 1)) + 1)
        elapsed = timer(calls)
    per_call = elapsed / calls
    return max(1, round(wanted_ns / max(per_call, 1e-3))), per_call
