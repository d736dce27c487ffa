"""Measures contenders in turn, in an order drawn anew for every round, and keeps every figure."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.http.generator import LoadError, Measured
from bench.lib.servers import Server, only
from bench.lib.taken import Figures, Taken


@dataclass(frozen=True)
class Contender:
    """One server, and how a block of it is measured.

    Attributes:
        name: As in the tables.
        server: Left running while the others are paused.
        measure: One block; raises `LoadError` where an answer is wrong or a request is lost.
    """

    name: str
    server: Server
    measure: Callable[[], Measured]


def figures_of(measured: Measured) -> Figures:
    """What goals and tables ask of one block; no percentiles where nothing was answered."""
    found = {
        "per_s": measured.per_s,
        "failed": float(measured.failed),
        "generator_share": measured.generator_share,
    }
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("p99_9", 99.9)):
        value = measured.latency.percentile_us(percent)
        if value is not None:
            found[f"{name}_us"] = value
    late = measured.lag.percentile_us(99)
    if late is not None:
        found["lag_p99_us"] = late
    return found


def run(
    contenders: Sequence[Contender],
    rounds: int,
    say: Callable[[str], None],
    seed: int = 0,
) -> list[Taken]:
    """One block of each in every round; a contender that fails is left out, with the reason.

    Args:
        contenders: Names are unique.
        rounds: How many.
        say: Told about every block.
        seed: Of the order within the rounds.
    """
    taken: Mapping[str, Taken] = {one.name: Taken(one.name) for one in contenders}
    going = list(contenders)
    servers = [one.server for one in contenders]
    shuffled = random.Random(seed)
    for number in range(1, rounds + 1):
        shuffled.shuffle(going)
        for contender in list(going):
            one = taken[contender.name]
            try:
                with only(contender.server, servers):
                    measured = contender.measure()
            except LoadError as error:
                one.left_out, one.rounds, one.latencies = str(error), [], []
                going.remove(contender)
                say(f"  round {number}/{rounds}  {contender.name:<20} left out: {error}")
                continue
            one.rounds.append(figures_of(measured))
            one.latencies.append(measured.latency)
            say(f"  round {number}/{rounds}  {contender.name:<20} {told(one.rounds[-1])}")
    return list(taken.values())


def told(figures: Figures) -> str:
    """One block in words."""
    middle, tail = figures.get("p50_us"), figures.get("p99_us")
    said = f"{figures['per_s']:>10,.0f}/s"
    if middle is not None and tail is not None:
        said += f"  p50 {middle:>9,.0f} µs  p99 {tail:>9,.0f} µs"
    return said
