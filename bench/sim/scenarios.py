"""What is simulated: latency curves, mixes of requests, arrivals, and loads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

MAX_ROWS = 64


class Curve(NamedTuple):
    """Time of an execution: ``base_ns``, and ``per_row_ns`` for each row beyond ``knee_rows``."""

    name: str
    base_ns: float
    per_row_ns: float
    knee_rows: int

    def time_ns(self, rows: int) -> float:
        """Of one execution of so many rows."""
        return self.base_ns + self.per_row_ns * max(rows - self.knee_rows, 0)


CURVES = (
    Curve("flat", 50_000, 200, 0),  # a small network: 64 rows cost little more than one
    Curve("linear", 8_000, 4_000, 0),  # trees: every row costs the same
    Curve("knee", 1_000_000, 60_000, 16),  # a wide network: free up to 16 rows, then linear
)


SLOPE = Curve("slope", 2_000_000, 50_000, 0)
"""Between flat and linear: where short executions cost most for what they bring."""


class Class(NamedTuple):
    """Requests alike; deadlines are in times of a full batch, log-uniform between the two."""

    name: str
    share: float
    priority: int
    least_deadline: float
    most_deadline: float
    has_large: bool = False


MIXES = {
    "one class": (Class("all", 1.0, 0, 6, 6),),
    "tight": (Class("all", 1.0, 0, 2.5, 2.5),),
    "deadlines": (Class("all", 1.0, 0, 2.5, 30, has_large=True),),
    "priorities": (
        Class("urgent", 0.1, 10, 3, 3),
        Class("normal", 0.6, 0, 8, 8, has_large=True),
        Class("low", 0.3, -1, 40, 40, has_large=True),
    ),
}
ARRIVALS = ("poisson", "gamma", "trace")
LOADS = (0.7, 2.0)
URGENT = Class("urgent", 0.1, 10, 20, 20)
LOW = Class("low", 2.0, -1, 40, 40)


class Scenario(NamedTuple):
    """One line for the driver."""

    name: str
    curve: Curve
    arrivals: str
    load: float
    classes: tuple[Class, ...]
    instances: int = 1
    seed: int = 1

    def line(self, requests: int, policies: tuple[str, ...] = ()) -> str:
        """As the driver reads it."""
        full_ns = self.curve.time_ns(MAX_ROWS)
        # One objective for policies that take only one: that of the middle request, roughly.
        usual = max(self.classes, key=lambda each: each.share)
        slo = math.sqrt(usual.least_deadline * usual.most_deadline) * full_ns
        words = [
            f"curve={self.curve.base_ns},{self.curve.per_row_ns},{self.curve.knee_rows}",
            f"max_rows={MAX_ROWS} instances={self.instances} load={self.load}",
            f"arrivals={self.arrivals} requests={requests} seed={self.seed}",
            f"slo_ns={slo:.0f} noise=0.05",
            *(
                f"class={each.name},{each.share},{each.priority},"
                f"{each.least_deadline * full_ns:.0f},{each.most_deadline * full_ns:.0f},"
                f"{int(each.has_large)}"
                for each in self.classes
            ),
            *(f"policy={policy}" for policy in policies),
        ]
        return " ".join(words)


def comparisons() -> Iterator[Scenario]:
    """Every curve under every arrival process, load and mix; and a few with two instances."""
    for curve in CURVES:
        for mix, classes in MIXES.items():
            for arrivals in ARRIVALS:
                for load in LOADS:
                    name = f"{curve.name}, {mix}, {arrivals}, {load:g}"
                    yield Scenario(name, curve, arrivals, load, classes)
        for mix in ("one class", "priorities"):
            name = f"{curve.name}, {mix}, poisson, 2, two instances"
            yield Scenario(name, curve, "poisson", 2.0, MIXES[mix], instances=2)


def isolations() -> Iterator[tuple[Scenario, Scenario]]:
    """An urgent class at a tenth of what the model can do: alone, and beside low priority at 2x."""
    for curve in (*CURVES, SLOPE):
        for instances, end in ((1, ""), (2, ", two instances")):
            yield (
                Scenario(
                    f"{curve.name}, urgent alone{end}", curve, "poisson", 0.1, (URGENT,), instances
                ),
                Scenario(
                    f"{curve.name}, urgent and low{end}",
                    curve, "poisson", 2.1, (URGENT, LOW), instances,
                ),
            )  # fmt: skip
