"""What a search has found, while it runs and afterwards."""

from __future__ import annotations

from typing import Literal

import msgspec

from slipstream.tune.candidates import Candidate
from slipstream.tune.search import Measured, Outcome, Search, Targets


class TargetReport(msgspec.Struct, frozen=True, kw_only=True):
    """One target, and what the best candidate reaches of it."""

    target: Literal["target_latency_ms", "target_throughput"]
    wanted: float
    reached: float
    met: bool
    short_by_percent: float
    """How much too slow, or too few; 0 where it is met."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate and what came of it."""

    candidate: Candidate
    outcome: Outcome


def tried(search: Search) -> list[Tried]:
    """Every candidate so far, in order. From any thread."""
    return [Tried(candidate=one, outcome=came) for one, came in list(search.outcomes.items())]


def targets_of(targets: Targets, measured: Measured) -> list[TargetReport]:
    """How far a candidate is from each target that there is."""
    found = []
    if targets.latency_ms is not None:
        reached = measured.latency_p99_ms
        short = max(0.0, reached / targets.latency_ms - 1)
        found.append(_target("target_latency_ms", targets.latency_ms, reached, short))
    if targets.throughput_per_second is not None:
        reached = measured.throughput_per_second
        short = max(0.0, 1 - reached / targets.throughput_per_second)
        found.append(_target("target_throughput", targets.throughput_per_second, reached, short))
    return found


def _target(
    name: Literal["target_latency_ms", "target_throughput"],
    wanted: float,
    reached: float,
    short: float,
) -> TargetReport:
    return TargetReport(
        target=name,
        wanted=wanted,
        reached=reached,
        met=short == 0,
        short_by_percent=round(100 * short, 2),
    )


def message_of(applied: bool, missed: list[TargetReport]) -> str:
    """In words: whether something was changed, or which targets are out of reach."""
    if applied:
        return "Model optimized successfully"
    if missed:
        told = " and ".join(
            f"{one.target} ({one.short_by_percent:g} % short of {one.wanted:g})" for one in missed
        )
        return f"Nothing was changed: out of reach is {told}"
    return "Nothing was changed: no candidate is better than the present configuration"
