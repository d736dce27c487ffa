"""What contenders came to, round by round: the form that every result file and goal reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.lib.latency import Latency
from bench.lib.spread import spread_of
from bench.lib.tables import NOTHING, markdown, with_spread

Figures = dict[str, float]


@dataclass
class Taken:
    """The blocks of one contender, one a round."""

    name: str
    rounds: list[Figures] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    left_out: str | None = None

    def record(self) -> dict[str, Any]:
        """For the result file."""
        latency = Latency.merged(self.latencies)
        return {
            "name": self.name,
            "rounds": self.rounds,
            "medians": medians(self.rounds),
            "latency": latency.figures() if latency.count else None,
            "left_out": self.left_out,
        }


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of every figure over the rounds."""
    names = {name for one in rounds for name in one}
    return {
        name: spread_of([one[name] for one in rounds if name in one]).median
        for name in sorted(names)
    }


def table(records: Sequence[dict[str, Any]]) -> str:
    """Records of one scenario as a Markdown table: a column a figure, medians with their spread."""
    names = list(dict.fromkeys(name for one in records for name in one["medians"]))
    rows = []
    for one in records:
        cells = []
        for name in names:
            values = [values[name] for values in one["rounds"] if name in values]
            cells.append(with_spread(spread_of(values)) if values else NOTHING)
        why = f" (left out: {one['left_out'][:150]})" if one["left_out"] else ""
        rows.append([one["name"] + why, *cells])
    return markdown(["", *(name.replace("_", " ") for name in names)], rows)
