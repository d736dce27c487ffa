"""What a run of the HTTP suite came to, as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.http import special
from bench.lib.spread import spread_of
from bench.lib.tables import NOTHING, figure, markdown, with_spread
from bench.lib.taken import table

BIAS = (
    "Bias: we wrote this and chose the models; the rivals' server files are ours too. The load "
    "generator and the servers share the machine's cores, which brings ratios of fast servers "
    "nearer to 1. All contenders of a table took turns in one run; while one is measured, the "
    "others are stopped."
)
_KEEPS_UP = 0.8
"""Of what is offered: in a short block, bursts may come to less than their rate."""


def markdown_of(record: Mapping[str, Any]) -> str:
    """All scenarios of a record."""
    return "\n".join(_parts(record))


def _parts(record: Mapping[str, Any]) -> Iterator[str]:
    yield BIAS + "\n"
    if record["size"] != "full":
        yield f"**`--{record['size']}`: too few rounds to quote these figures.**\n"
    for name, taken in record["scenarios"].items():
        yield f"#### {name}: {record['titles'].get(name) or special.TITLES.get(name, '')}\n"
        offered = record.get("rates", {}).get(name)
        yield table(taken) if name in special.TITLES else _plain(taken, offered)
    if record["left_out"]:
        yield "Left out:\n"
        yield "".join(f"- {name}: {why}\n" for name, why in record["left_out"].items())
    if record.get("wrk"):
        yield _wrk(record["wrk"])


def _plain(taken: Sequence[Mapping[str, Any]], offered: float | None) -> str:
    rows = []
    for one in taken:
        if one["left_out"] is not None:
            rows.append([one["name"], *[NOTHING] * 5, one["left_out"][:120]])
            continue
        rate = spread_of([values["per_s"] for values in one["rounds"]])
        latency, share = one["latency"], one["medians"]["generator_share"]
        times = (latency[key] for key in ("p50_us", "p90_us", "p99_us", "p99_9_us"))
        cells = [NOTHING if time is None else figure(time) for time in times]
        behind = offered is not None and rate.median < _KEEPS_UP * offered
        name = f"{one['name']} (falls behind)" if behind else one["name"]
        rows.append([name, with_spread(rate), *cells, f"{share:.0%}"])
    header = ["", "req/s", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "generator"]
    return markdown(header, rows)


def _wrk(found: Mapping[str, Any]) -> str:
    if "why" in found:
        return f"Cross-check by wrk: {found['why']}\n"
    rates = {key: spread_of(found[key]).median for key in found}
    over = spread_of(
        [a / b for a, b in zip(found["wrk_per_s"], found["wrk_constant_per_s"], strict=True)]
    )
    return (
        f"The small network's closed loop of 64 connections once more, by wrk: "
        f"{figure(rates['wrk_per_s'])}/s (this generator: {figure(rates['ours_per_s'])}/s), the "
        f"constant answer {figure(rates['wrk_constant_per_s'])}/s, ratio {with_spread(over)}.\n"
    )
