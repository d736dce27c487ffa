"""The command: ``python -m bench forest``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.forest import environments, from_python, goals, measure, report, rivals, train
from bench.forest.cases import CASES
from bench.lib import environment, interleave, results, timer

SUITE = "forest"
PACKAGES = ("slipstream", "numpy", "lightgbm", "xgboost-cpu", "scikit-learn", "onnxruntime")
DEFAULT_OUTPUT = environments.WORK / "forest.json"
QUICK_CHECKED_ROWS = 5_000
RIVAL_NAMES = [rival.name for rival in rivals.RIVALS]


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    made = argparse.ArgumentParser(
        prog="python -m bench forest",
        description="Times slipstream's forest backend beside everything else that runs trees.",
    )
    made.add_argument(
        "--quick", action="store_true", help="few rounds: shows that it runs, not how fast"
    )
    made.add_argument(
        "--cases", type=_cases, default=list(CASES), metavar="A,B",
        help=f"only these of: {', '.join(CASES)}",
    )  # fmt: skip
    made.add_argument(
        "--rivals", type=_rivals, default=None, metavar="A,B",
        help=f"only these of: {', '.join(RIVAL_NAMES)}",
    )  # fmt: skip
    made.add_argument(
        "--output", type=Path, default=DEFAULT_OUTPUT, metavar="FILE",
        help="where the figures go, as JSON (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--prepare", action="store_true",
        help="install every rival, train and convert every model, and measure nothing",
    )  # fmt: skip
    made.add_argument(
        "--report", type=Path, nargs="?", const=DEFAULT_OUTPUT, metavar="FILE",
        help="measure nothing: write docs/performance.md and its plots from a result file "
        "(default: %(const)s)",
    )  # fmt: skip
    return made


def _cases(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in CASES:
            raise argparse.ArgumentTypeError(f"no case {name!r}; there are {', '.join(CASES)}")
    return names


def _rivals(text: str) -> set[str]:
    names = text.split(",")
    for name in names:
        if name not in RIVAL_NAMES:
            known = ", ".join(RIVAL_NAMES)
            raise argparse.ArgumentTypeError(f"no rival {name!r}; there are {known}")
    return set(names)


def main(arguments: Sequence[str]) -> int:
    """Does what the command line says; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        if options.report is not None:
            said = report.write(results.read(options.report, SUITE))
            print("\n".join([*said, f"wrote {report.PAGE.relative_to(environments.ROOT)}"]))
            return 0
        environments.driver()
        if options.prepare:
            return prepare(options.cases, options.rivals)
        record = run(options)
    except (environments.SetupError, ValueError, OSError) as error:
        print(f"bench forest: error: {error}", file=sys.stderr)
        return 1
    print(report.markdown_of(record))
    print(f"wrote {options.output}")
    return 0


def prepare(names: Sequence[str], only: set[str] | None) -> int:
    """Trains and converts everything; 0 even where a rival cannot run a model, which it says."""
    for name in names:
        case, folder = CASES[name], measure.folder_of(CASES[name])
        train.train(case, folder)
        for rival, ready in rivals.make_ready(case, folder, only).items():
            print(
                f"{name:<18}{rival:<18}{ready if isinstance(ready, str) else 'ready'}", flush=True
            )
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures the chosen cases; what it returns is the result file's content.

    The file is written after every case: a run takes long, and what was measured stays measured.
    """
    plan = interleave.QUICK if options.quick else interleave.FULL
    checked = QUICK_CHECKED_ROWS if options.quick else measure.CHECKED_ROWS
    where = environment.describe(PACKAGES)
    for line in environment.lines(where):
        print(line)
    warned = timer.warning("a block", plan.block_ms * 1e6, where["timer_overhead_ns"])
    if warned is not None:
        print(warned)
    prepare(options.cases, options.rivals)  # before anything is timed
    wanted = {goal.case for goal in goals.PYTHON_GOALS}
    record: dict[str, Any] = {
        "environment": where,
        "rivals": rivals.versions(),
        "quick": options.quick,
        "plan": plan._asdict(),
        "cases": [],
        "from_python": [],
    }
    for name in options.cases:
        print(f"measuring {name}", flush=True)
        case = CASES[name]
        record["cases"].append(measure.measure(case, plan, checked, options.rivals))
        if name in wanted:
            found = from_python.measure(case, plan)
            record["from_python"].append(found)
        record["environment"] = environment.finish(where)
        results.write(options.output, SUITE, record)
    return record
