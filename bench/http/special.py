"""Scenarios with rules of their own: bad clients, overload with a deadline, urgent requests.

Each returns the figures of one round. Overloads are made of two networks. Of the deep one
executions are scarce. Of the wide one HTTP is: a row takes less time to run than to send, read and
answer, on cores that the generator shares, so that twice the peak is more than the machine can even
refuse.
"""

from __future__ import annotations

from bench.http import bodies, generator
from bench.http.bodies import OWN, Dialect
from bench.http.generator import Measured, Traffic
from bench.http.models import DEEP, GBDT, WIDE, Model
from bench.http.servers import constant_traffic
from bench.lib.servers import Server, only
from bench.lib.taken import Figures

TITLES = {
    "bad_clients": "4 clients that send a string in a row, beside 12 good ones",
    "overload": "wide network, 2× the peak, a deadline of 100 ms",
    "urgent": "wide network, urgent requests (a tenth of the peak), alone and beside 2× the peak",
    "overload_deep": "deep network, 2× the peak, a deadline of 800 ms",
    "urgent_deep": "deep network, urgent requests, alone and beside 2× the peak",
}
BAD, GOOD = 4, 12
DEADLINES_MS = {WIDE.name: 100.0, DEEP.name: 800.0}
"""By model; longer on machines that are slow for it."""
_BATCH_ROWS, _LEAST_BATCHES = 64, 5
"""Rows of our largest batch, and how many of these the deadline leaves time for at the peak."""
OVER = 2.0
"""How many times its peak is offered."""
URGENT_SHARE = 0.1
_COALESCE = 1 / 400
"""Of the deadline: so long the generator waits before it looks at its sockets again, while goodput
is measured. It shares the server's cores, and would otherwise stop an execution for every request.
"""
_PEAK_CONNECTIONS = 256
"""As many as fill the largest batches of a few instances, and the queue behind them."""
_OPEN_CONNECTIONS = 2048
"""More than a server that keeps the deadline ever holds: the backlog is its, not the client's."""


def bad_clients(server: Server, dialect: Dialect, seconds: float) -> Figures:
    """Good requests beside those of clients that send a string in a row."""
    good = bodies.traffic(dialect, GBDT, 1, "good", connections=GOOD, refusals=True)
    bad = Traffic(
        name="bad",
        requests=bodies.spoiled(dialect, GBDT),
        check=lambda body, answer: "a string was taken for a number",
        key=None,
        connections=BAD,
        refusals=True,
    )
    found = generator.run(server.address, [good, bad], seconds, warmup_s=0)
    middle = found["good"].latency.percentile_us(50)
    return {
        "failed": float(found["good"].failed),
        "good_per_s": found["good"].per_s,
        "bad_sent": float(found["bad"].sent),
        **({} if middle is None else {"p50_us": middle}),
    }


def peak(server: Server, model: Model, seconds: float, warmup_s: float) -> float:
    """The most requests a second that the model answers, in a closed loop.

    Of two, with the generator as it is when it offers more than that, and as it is otherwise.
    """
    traffic = bodies.traffic(OWN, model, 1, connections=_PEAK_CONNECTIONS)
    return max(
        generator.run(server.address, [traffic], seconds, warmup_s, coalesce_us=pause_us)[
            "all"
        ].per_s
        for pause_us in (0.0, _coalesce_us(DEADLINES_MS[model.name]))
    )


def deadline_of(model: Model, peak_per_s: float) -> float:
    """Milliseconds that requests of an overload have."""
    return max(DEADLINES_MS[model.name], _LEAST_BATCHES * _BATCH_ROWS / peak_per_s * 1e3)


def overload(
    server: Server, ceiling: Server, model: Model, seconds: float, warmup_s: float
) -> Figures:
    """Twice the peak, in an open loop with a deadline: what is answered in time?

    The constant answer of ``ceiling`` is asked the same, at the same rate: what it does not answer
    in time is beyond the HTTP server, or beyond the machine.
    """
    both = (server, ceiling)
    with only(server, both):
        most = peak(server, model, seconds, warmup_s)
        deadline_ms = deadline_of(model, most)
        offered = bodies.traffic(
            OWN, model, 1, extra={"timeout_ms": deadline_ms}, connections=_OPEN_CONNECTIONS,
            rate=OVER * most, deadline_ms=deadline_ms, refusals=True,
        )  # fmt: skip
        found = _offer(server, offered, seconds, warmup_s)
    with only(ceiling, both):
        constant = _offer(ceiling, constant_traffic(offered, ceiling), seconds, warmup_s)
    tail = found.latency.percentile_us(99)
    return {
        "peak_per_s": most,
        "offered_per_s": found.due / found.seconds,
        "goodput_per_s": found.in_time_per_s,
        "goodput_over_peak": found.in_time_per_s / most,
        "constant_in_time_over_peak": constant.in_time_per_s / most,
        "refused_503": float(found.statuses.get(503, 0)),
        "expired_504": float(found.statuses.get(504, 0)),
        "broken": float(found.broken),
        "unfinished": float(found.unfinished),
        **({} if tail is None else {"p99_over_deadline": tail / 1e3 / deadline_ms}),
        "generator_share": found.generator_share,
    }


def _offer(server: Server, offered: Traffic, seconds: float, warmup_s: float) -> Measured:
    coalesce_us = _coalesce_us(offered.deadline_ms or 0.0)
    return generator.run(
        server.address, [offered], seconds, max(warmup_s, 0.5), coalesce_us=coalesce_us
    )["all"]


def _coalesce_us(deadline_ms: float) -> float:
    return _COALESCE * deadline_ms * 1e3


def urgent(server: Server, model: Model, seconds: float, warmup_s: float) -> Figures:
    """Urgent requests at a tenth of the peak, alone and beside twice the peak of low ones."""
    most = peak(server, model, seconds, warmup_s)
    first = bodies.traffic(
        OWN, model, 1, "urgent", extra={"priority": "urgent"}, connections=256,
        rate=URGENT_SHARE * most, refusals=True,
    )  # fmt: skip
    low = bodies.traffic(
        OWN, model, 1, "low",
        extra={"priority": "low", "timeout_ms": deadline_of(model, most)},
        connections=_OPEN_CONNECTIONS, rate=OVER * most, refusals=True, seed=2,
    )  # fmt: skip
    warmup_s = max(warmup_s, 0.5)
    alone = generator.run(server.address, [first], seconds, warmup_s)["urgent"]
    beside = generator.run(server.address, [first, low], seconds, warmup_s)["urgent"]
    before, after = alone.latency.percentile_us(99), beside.latency.percentile_us(99)
    found = {"peak_per_s": most, "urgent_failed": float(beside.failed)}
    if before is not None and after is not None:
        found |= {"alone_p99_us": before, "p99_us": after, "p99_over_alone": after / before}
    return found
