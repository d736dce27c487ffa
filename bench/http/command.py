"""The command: ``python -m bench http``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import goals
from bench.http import generator, models, scenarios, tables, wrk
from bench.http.generator import LoadError
from bench.http.suite import Suite
from bench.lib import environment, results, tools
from bench.lib.goals import evaluate, table
from bench.rivals import registry

__all__ = ["LoadError", "main", "measure", "names"]

SUITE = "http"
PACKAGES = ("slipstream", "granian", "uvloop", "onnxruntime", "numpy", "xgboost-cpu")
DEFAULT_OUTPUT = tools.WORK / "http.json"
RIVALS = (*registry.BY_NAME, "none")
PLANS = {"full": scenarios.FULL, "quick": scenarios.QUICK, "smoke": scenarios.SMOKE}


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    made = argparse.ArgumentParser(
        prog="python -m bench http", description="Measures slipstream and its rivals over HTTP."
    )
    size = made.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", dest="size", action="store_const", const="quick", default="full",
        help="three short rounds, and only the rivals that goals name",
    )  # fmt: skip
    size.add_argument(
        "--smoke", dest="size", action="store_const", const="smoke",
        help="blocks of 0.3 s: shows that it runs, not how fast",
    )  # fmt: skip
    made.add_argument(
        "--scenarios", type=names(scenarios.EVERY), metavar="A,B",
        help=f"only these of: {', '.join(scenarios.EVERY)}",
    )  # fmt: skip
    made.add_argument(
        "--rivals", type=names(RIVALS), metavar="A,B",
        help=f"only these of: {', '.join(registry.BY_NAME)}; or none",
    )  # fmt: skip
    made.add_argument(
        "--output", type=Path, default=DEFAULT_OUTPUT, metavar="FILE",
        help="where the figures go, as JSON (default: %(default)s)",
    )  # fmt: skip
    return made


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """What parses a list of these names, set apart by commas."""

    def parse(text: str) -> list[str]:
        found = text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"no {name!r}; there are {', '.join(known)}")
        return found

    return parse


def main(arguments: Sequence[str]) -> int:
    """Does what the command line says; 1 when something of ours failed or an answer was wrong."""
    options = parser().parse_args(arguments)
    try:
        record = measure(options.size, options.scenarios, options.rivals, options.output)
    except (tools.SetupError, LoadError, OSError) as error:
        print(f"bench http: error: {error}", file=sys.stderr)
        return 1
    print(tables.markdown_of(record))
    print(table([evaluate(goal, record["scenarios"], goals.NOT_RIVALS) for goal in of(record)]))
    print(f"wrote {options.output}")
    for wrong in record["wrong"]:
        print(f"bench http: error: {wrong}", file=sys.stderr)
    return 1 if record["wrong"] else 0


def of(record: dict[str, Any]) -> list[Any]:
    """The goals whose scenarios were measured."""
    return [goal for goal in goals.GOALS if goal.scenario in record["scenarios"]]


def measure(
    size: str, chosen: Sequence[str] | None, rivals: Sequence[str] | None, output: Path
) -> dict[str, Any]:
    """Measures and writes the result file; returns its content.

    Raises:
        SetupError: the generator, the models or slipstream itself could not be made ready.
    """
    plan = PLANS[size]
    if chosen is None:
        chosen = [
            name
            for name in scenarios.EVERY
            if size == "full" or name in scenarios.SPECIAL or not scenarios.BY_NAME[name].full_only
        ]
    if rivals is None:
        rivals = list(registry.BY_NAME) if size == "full" else registry.QUICK
    rivals = [name for name in rivals if name != "none"]
    generator.program()
    models.make_all()
    where = environment.describe(PACKAGES)
    print("\n".join(environment.lines(where)), flush=True)
    suite = Suite(plan, rivals, chosen, lambda text: print(text, flush=True))
    suite.measure()
    record = {
        "environment": environment.finish(where),
        "size": size,
        "plan": plan._asdict(),
        "rivals": registry.versions(),
        "notes": {name: registry.BY_NAME[name].note for name in rivals},
        "titles": {name: scenarios.BY_NAME[name].title for name in scenarios.BY_NAME},
        "rates": {name: one.rate for name, one in scenarios.BY_NAME.items() if one.rate},
        "scenarios": suite.scenarios,
        "left_out": suite.left_out,
        "wrong": suite.wrong,
    }
    results.write(output, SUITE, record)
    if "small_64" in chosen:
        record["wrk"] = wrk.cross_check(plan.rounds, plan.block_s)
        results.write(output, SUITE, record)
    return record
