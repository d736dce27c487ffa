"""What slipstream set out to reach, over HTTP and in process; ``make bench`` says what is met.

Goals of the forest backend alone are in `bench.forest.goals`.
"""

from __future__ import annotations

from bench.http.scenarios import WITH_IDLE
from bench.http.servers import CONSTANT, ONE_WORKER, OURS
from bench.lib.goals import BEST, Goal
from bench.micro import parse

ORT = "onnxruntime run"
NOT_RIVALS = (OURS, ONE_WORKER, CONSTANT, WITH_IDLE)


def _least(title: str, scenario: str, metric: str, limit: float, **rest: str) -> Goal:
    return Goal(title, scenario, metric, limit, True, **rest)


def _most(title: str, scenario: str, metric: str, limit: float, **rest: str) -> Goal:
    return Goal(title, scenario, metric, limit, False, **rest)


GOALS = (
    _least("small network, 64 connections: req/s", "small_64", "per_s", 0.95, over=CONSTANT),
    _most("small network, 1 connection: p50", "small_1", "p50_us", 0.75, over=CONSTANT),
    _most("1,000 idle connections beside 16 busy: p50", "idle", "p50_us", 1.1,
          over=OURS, ours=WITH_IDLE),
    _least("forest, 1 row, 64 connections: req/s", "gbdt_64", "per_s", 1.6, over=BEST,
           ours=ONE_WORKER),
    _most("forest, 1 row, 64 connections: p99", "gbdt_64", "p99_us", 0.8, over=BEST,
          ours=ONE_WORKER),
    _most("forest, 1 row, 1 connection: p50", "gbdt_1", "p50_us", 0.6,
          over=BEST, best_by="p50_us", ours=ONE_WORKER),
    _least("forest, 64 rows, 16 connections: req/s", "gbdt_rows64", "per_s", 4, over=BEST,
           ours=ONE_WORKER),
    _least("wide network, 64 connections: req/s", "wide_64", "per_s", 1.7, over=BEST,
           ours=ONE_WORKER),
    _least("forest, 1 row, 64 connections: req/s", "gbdt_64", "per_s", 5, over="FastAPI",
           ours=ONE_WORKER),
    _least("forest, 64 rows, 16 connections: req/s", "gbdt_rows64", "per_s", 4, over="FastAPI",
           ours=ONE_WORKER),
    _most("good requests that fail beside bad clients", "bad_clients", "failed", 0, unit=""),
    _most("in process, predict of one row: p50", "inprocess", "p50_us", 0.75, over=ORT),
    _least("in process, submit from 8 threads: req/s", "threads", "per_s", 2, over=ORT),
    *(
        _least(f"JSON numbers of {digits} digits{after}: numbers/s",
               parse.scenario(digits, separator), "per_s", parse.GOALS[over], over=over, ours=ours)
        for digits, separator in parse.BODIES
        for after in [" and spaces" if separator == ", " else ""]
        for ours, over in ((parse.OURS, parse.MSGSPEC), (parse.OURS_CPP, parse.FROM_CHARS))
    ),
    *(
        goal
        for network, end in (("deep", "_deep"), ("wide", ""))
        for goal in (
            _least(f"overload, {network} network, 2× peak: goodput over peak", f"overload{end}",
                   "goodput_over_peak", 0.95),
            _most(f"overload, {network} network: p99 of accepted over deadline", f"overload{end}",
                  "p99_over_deadline", 1),
            _most(f"urgent beside 2× peak of low, {network} network: p99 over alone",
                  f"urgent{end}", "p99_over_alone", 2),
            _most(f"urgent requests that fail beside that, {network} network", f"urgent{end}",
                  "urgent_failed", 0, unit=""),
        )
    ),
    _most("start to first answer", "startup", "seconds", 0.5, unit="s"),
    _most("memory, one small model, under load", "memory", "rss_mb", 110, unit="MB"),
)  # fmt: skip
