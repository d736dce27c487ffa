"""Where a request's microseconds go: from the core's own histograms, beside what the client saw.

Means, because means add up: those of the core's stages, and as the remainder what surrounds it
(sockets, HTTP, JSON, Python, and the load generator). Warm-up is part of the core's figures. The
queue is a mean over requests, the other stages are means over executions: where large batches take
longer than small ones, a request spends more time in them than that, and `rest_of_core` holds it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.http import bodies, generator, models, servers
from bench.http.bodies import OWN
from bench.http.generator import LoadError
from bench.http.models import GBDT, SMALL, WIDE, Model
from bench.lib.suite import Say, Size, WrongError, command
from bench.lib.taken import Figures, Taken

STAGES = ("queue", "batch", "stage", "execute", "complete")
AROUND = "around"
"""Outside the core: what is left of the client's time."""
CASES = (
    ("small network, 1 connection", SMALL, 1, 1),
    ("small network, 64 connections", SMALL, 1, 64),
    ("forest, 1 connection", GBDT, 1, 1),
    ("forest, 64 connections", GBDT, 1, 64),
    ("forest, 64 rows, 16 connections", GBDT, 64, 16),
    ("wide network, 64 connections", WIDE, 1, 64),
)
_ROUNDS = 3


def measure(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """Microseconds by stage, for each case.

    Raises:
        WrongError: an answer was wrong.
    """
    generator.program()
    models.make_all()
    taken = {title: Taken(title) for title, *_ in CASES}
    for number in range(1, min(_ROUNDS, size.rounds) + 1):
        for title, model, rows, connections in CASES:
            try:
                figures = _figures(model, rows, connections, size.block_s)
            except LoadError as error:
                raise WrongError(f"{title}: {error}") from error
            taken[title].rounds.append(figures)
            said = "  ".join(f"{name} {value:,.1f}" for name, value in figures.items())
            say(f"  round {number}  {title}: {said}")
    return {"stages (µs, means)": list(taken.values())}


def _figures(model: Model, rows: int, connections: int, seconds: float) -> Figures:
    with tempfile.TemporaryDirectory(prefix="bench-stages-") as folder:
        file = Path(folder) / "stats.json"
        program = ("-m", "bench.http.watched", str(file))
        traffic = bodies.traffic(OWN, model, rows, connections=connections)
        with servers.slipstream([model], program=program, env=servers.our_path()) as server:
            found = generator.run(server.address, [traffic], seconds)["all"]
        stats = json.loads(file.read_text(encoding="utf-8"))[model.name]
    return breakdown(stats, found.latency.mean_us())


def breakdown(stats: Mapping[str, Any], client_us: float) -> Figures:
    """The client's mean, cut into the core's stages and what surrounds them.

    Args:
        stats: Of the model, as the core counts. A stage that a request skips is not in its
            histogram, so sums are shared among all requests (`queue`) or executions (the others).
        client_us: Mean of what the client saw.
    """
    summaries = stats["stages"]
    answered, executions = max(1, stats["succeeded"]), max(1, stats["executions"])
    means = {
        name: summaries[name]["sum_ns"] / (answered if name == "queue" else executions) / 1e3
        for name in STAGES
    }
    inside = summaries["total"]["sum_ns"] / answered / 1e3
    return {
        "client": client_us,
        AROUND: client_us - inside,
        **means,
        "rest_of_core": inside - sum(means.values()),
        "inline_share": stats["inline_executions"] / executions,
        "requests_per_execution": answered / executions,
    }


main = command("stages", "Where a request's microseconds go.", measure)
