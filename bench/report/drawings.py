"""The plots of a report: latency distributions, throughput against latency, stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.http.servers import OURS
from bench.lib import plots
from bench.stages import AROUND, STAGES

Scenarios = Mapping[str, Sequence[Mapping[str, Any]]]

_DISTRIBUTIONS = ("small_64", "gbdt_1", "gbdt_64", "gbdt_poisson", "gbdt_bursts", "wide_64")
_SWEEP = ("gbdt_1", "gbdt_sweep_4", "gbdt_sweep_16", "gbdt_64", "gbdt_sweep_256")
_STAGES = "stages (µs, means)"


class Drawing(NamedTuple):
    """One plot that is there."""

    file: Path
    title: str


def draw(
    scenarios: Scenarios, titles: Mapping[str, str], folder: Path
) -> tuple[list[Drawing], str | None]:
    """Draws all that the scenarios allow as PNG; what was drawn, and why the rest was not."""
    drawn: list[Drawing] = []
    for drawing, failed in _all(scenarios, titles, folder):
        if failed is not None:
            return drawn, failed
        drawn.append(drawing)
    return drawn, None


def _all(
    scenarios: Scenarios, titles: Mapping[str, str], folder: Path
) -> Iterator[tuple[Drawing, str | None]]:
    for name in _DISTRIBUTIONS:
        series = {
            one["name"]: (one["latency"]["curve_us"], one["latency"]["curve_share"])
            for one in scenarios.get(name, ())
            if one["latency"]
        }
        if series:
            drawing = Drawing(folder / f"cdf_{name}.png", f"Latency: {titles.get(name, name)}")
            failed = plots.curves(
                drawing.file, drawing.title, "µs", "share of requests", series, OURS
            )
            yield drawing, failed
    swept = sweep(scenarios)
    if swept:
        drawing = Drawing(
            folder / "throughput_latency.png", "Forest, one row: 1 to 256 connections, p99"
        )
        failed = plots.curves(
            drawing.file, drawing.title, "requests/s", "µs", swept, OURS, marks=True, log_y=True
        )
        yield drawing, failed
    measured = [one for one in scenarios.get(_STAGES, ()) if one["medians"]]
    if measured:
        names = (AROUND, *STAGES, "rest_of_core")
        parts = {
            name.replace("_", " "): [one["medians"][name] for one in measured] for name in names
        }
        drawing = Drawing(folder / "stages.png", "Where a request's time goes")
        rows = [one["name"] for one in measured]
        yield drawing, plots.stacks(drawing.file, drawing.title, "% of the mean", rows, parts)


def sweep(scenarios: Scenarios) -> dict[str, tuple[list[float], list[float]]]:
    """By contender: requests a second and p99 in µs, from few connections to many."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for name in _SWEEP:
        for one in scenarios.get(name, ()):
            values = one["medians"]
            if "p99_us" in values:
                places, tails = found.setdefault(one["name"], ([], []))
                places.append(values["per_s"])
                tails.append(values["p99_us"])
    return found
