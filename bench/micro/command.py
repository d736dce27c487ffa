"""The command line that the micro benchmarks of parsing and writing share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.lib import environment, interleave, results, tools

PACKAGES = ("slipstream", "numpy", "msgspec")

Result = dict[str, Any]


class WrongAnswerError(Exception):
    """Contenders read or wrote different values."""


def main(
    name: str,
    description: str | None,
    measures: Sequence[Callable[[interleave.Plan], Result]],
    print_result: Callable[[Result], None],
    arguments: Sequence[str] | None,
) -> int:
    """Measures on one core and prints; returns the exit status: 1 when values differed.

    Args:
        name: Of the module in `bench.micro`, and of what it measures in the result file.
        description: For ``--help``.
        measures: Called in order; each gives a result.
        print_result: Prints one of them.
        arguments: Of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.micro.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it runs")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write figures as JSON")
    options = parser.parse_args(arguments)
    where = environment.describe(PACKAGES)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        plan = interleave.QUICK if options.quick else interleave.FULL
        measured = [measure(plan) for measure in measures]
    except (WrongAnswerError, tools.SetupError) as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 1
    where = environment.finish(where)
    print("\n".join(environment.lines(where)))
    for result in measured:
        print_result(result)
    if options.output is not None:
        record = {"environment": where, "quick": options.quick, name: measured}
        results.write(options.output, f"micro-{name}", record)
    return 0
