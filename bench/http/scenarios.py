"""What is measured over HTTP, as data: who is asked what, over how many connections."""

from __future__ import annotations

from typing import NamedTuple

from bench.http.models import GBDT, SMALL, WIDE, Model
from bench.http.servers import CONSTANT, ONE_WORKER, OURS

RIVALS = "rivals"
"""Stands for every rival that is running."""
IDLE = 1000
WITH_IDLE = f"{OURS} + {IDLE:,} idle"


class Scenario(NamedTuple):
    """One way of asking, measured of each contender in turn."""

    name: str
    title: str
    model: Model
    rows: int
    connections: int
    contenders: tuple[str, ...] = (OURS, ONE_WORKER, RIVALS)
    rate: float | None = None
    """Requests a second of an open loop; None: a closed loop."""
    arrivals: str = "poisson"
    full_only: bool = False


OPEN_RATE = 1_500.0
"""One that every rival but the slowest can keep up with: latencies at the same load compare."""
_OPEN_CONNECTIONS = 128

SCENARIOS = (
    Scenario("small_64", "network 16→64→3, 64 connections", SMALL, 1, 64, (OURS, CONSTANT)),
    Scenario("small_1", "network 16→64→3, one connection", SMALL, 1, 1, (OURS, CONSTANT)),
    Scenario(
        "idle", f"network 16→64→3, 16 connections, and {IDLE:,} idle ones beside",
        SMALL, 1, 16, (OURS, WITH_IDLE),
    ),
    Scenario("gbdt_64", "forest, one row, 64 connections", GBDT, 1, 64),
    Scenario("gbdt_1", "forest, one row, one connection", GBDT, 1, 1),
    Scenario("gbdt_rows64", "forest, 64 rows, 16 connections", GBDT, 64, 16),
    Scenario(
        "gbdt_poisson", f"forest, one row, open loop of {OPEN_RATE:,.0f}/s, Poisson",
        GBDT, 1, _OPEN_CONNECTIONS, rate=OPEN_RATE,
    ),
    Scenario(
        "gbdt_bursts", f"forest, one row, open loop of {OPEN_RATE:,.0f}/s, bursts",
        GBDT, 1, _OPEN_CONNECTIONS, rate=OPEN_RATE, arrivals="gamma",
    ),
    Scenario("wide_64", "network 512→1024→1024→10, 64 connections", WIDE, 1, 64),
    *(
        Scenario(
            f"gbdt_sweep_{count}", f"forest, one row, {count} connections", GBDT, 1, count,
            full_only=True,
        )
        for count in (4, 16, 256)
    ),
)  # fmt: skip

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}

SPECIAL = ("bad_clients", "overload", "urgent", "overload_deep", "urgent_deep")
"""Those with rules of their own, in `bench.http.special`."""
EVERY = (*BY_NAME, *SPECIAL)


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int
    block_s: float
    warmup_s: float
    special_s: float
    """Of a block of bad clients; overloads take as long."""


QUICK = Plan(rounds=3, block_s=1.0, warmup_s=0.3, special_s=6.0)
FULL = Plan(rounds=5, block_s=2.0, warmup_s=0.5, special_s=8.0)
SMOKE = Plan(rounds=2, block_s=0.3, warmup_s=0.1, special_s=1.0)
