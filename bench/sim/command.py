"""The command: ``python -m bench sim``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.lib import environment, results, tools
from bench.sim import driver, report, scenarios

SUITE = "sim"
DEFAULT_OUTPUT = tools.WORK / "sim.json"
REQUESTS = 40_000
SEEDS = (1, 2, 3, 4)
"""Each scenario is simulated with all of them, and their outcomes are taken together."""
QUICK_REQUESTS = 2_000


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    made = argparse.ArgumentParser(
        prog="python -m bench sim",
        description="Compares the batch policy with those of other servers, on a simulated clock.",
    )
    made.add_argument(
        "--quick", action="store_true", help="few requests: shows that it runs, not what it finds"
    )
    made.add_argument(
        "--only", default="", metavar="TEXT", help="only scenarios whose name contains this"
    )
    made.add_argument(
        "--output", type=Path, default=DEFAULT_OUTPUT, metavar="FILE",
        help="where the figures go, as JSON (default: %(default)s)",
    )  # fmt: skip
    return made


def main(arguments: Sequence[str]) -> int:
    """Does what the command line says; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        record = run(QUICK_REQUESTS if options.quick else REQUESTS, options.only)
        results.write(options.output, SUITE, {**record, "quick": options.quick})
    except (driver.DriverError, tools.SetupError, OSError) as error:
        print(f"bench sim: error: {error}", file=sys.stderr)
        return 1
    print(report.markdown_of(record))
    if options.quick:
        print("--quick: too few requests to quote these figures")
    print(f"wrote {options.output}")
    return 0


def run(requests: int, only: str) -> dict[str, Any]:
    """Simulates everything; what it returns is the result file's content."""
    driver.build()
    where = environment.describe(("slipstream",))
    compared = [each for each in scenarios.comparisons() if only in each.name]
    outcomes = [_together(each, requests) for each in compared]
    isolated = []
    for alone, beside in scenarios.isolations():
        if only not in beside.name:
            continue
        mine = ("slipstream",)
        # The same number of urgent requests in both.
        share = alone.load / beside.load
        [first] = _together(alone, round(requests * share), mine)
        others = _together(beside, requests, (*mine, "triton", "clockwork"))
        isolated.append({"name": beside.name, "alone": first, "beside": others})
    return {
        "environment": environment.finish(where),
        "requests": requests,
        "seeds": SEEDS,
        "scenarios": [
            {"name": each.name, "line": each.line(requests), "policies": found}
            for each, found in zip(compared, outcomes, strict=True)
        ],
        "isolation": isolated,
    }


def _together(
    scenario: scenarios.Scenario, requests: int, policies: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """The policies' outcomes over all seeds."""
    lines = [scenario._replace(seed=seed).line(requests, policies) for seed in SEEDS]
    by_policy = zip(*driver.outcomes(lines), strict=True)
    return [report.together(found) for found in by_policy]
