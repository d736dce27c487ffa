"""The command line of the small suites: sizes, a table, a result file, an exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.lib import environment, results, tools
from bench.lib.taken import Taken, table

PACKAGES = ("slipstream", "granian", "uvloop", "onnxruntime", "numpy")

Say = Callable[[str], None]
Measure = Callable[["Size", Say], Mapping[str, Sequence[Taken]]]


class Size(NamedTuple):
    """How much is measured."""

    name: str
    rounds: int
    block_s: float
    rivals: bool
    """Whether rivals that no goal needs are measured too."""


SIZES = {
    "full": Size("full", 7, 2.0, True),
    "quick": Size("quick", 5, 1.0, False),
    "smoke": Size("smoke", 2, 0.2, False),
}


class WrongError(Exception):
    """An answer was wrong, or something of ours failed: there are no figures."""


def command(name: str, description: str, measure: Measure) -> Callable[[Sequence[str]], int]:
    """The ``main`` of a suite."""

    def main(arguments: Sequence[str]) -> int:
        options = _parser(name, description).parse_args(arguments)
        try:
            record = run(name, measure, SIZES[options.size])
        except (tools.SetupError, WrongError, OSError) as error:
            print(f"bench {name}: error: {error}", file=sys.stderr)
            return 1
        results.write(options.output, name, record)
        for scenario, taken in record["scenarios"].items():
            print(f"\n### {scenario}\n\n{table(taken)}")
        if options.size != "full":
            print(f"--{options.size}: too few rounds to quote these figures")
        print(f"wrote {options.output}")
        return 0

    return main


def run(name: str, measure: Measure, size: Size) -> dict[str, Any]:
    """Measures; what it returns is the result file's content.

    Raises:
        SetupError: something could not be installed, built or started.
        WrongError: an answer was wrong.
    """
    where = environment.describe(PACKAGES)
    print("\n".join(environment.lines(where)), flush=True)
    print(f"measuring {name}", flush=True)
    found = measure(size, lambda text: print(text, flush=True))
    return {
        "environment": environment.finish(where),
        "size": size.name,
        "scenarios": {key: [one.record() for one in taken] for key, taken in found.items()},
    }


def add_sizes(parser: argparse.ArgumentParser, **meanings: str) -> None:
    """Options of these names, of which one at most is given: ``size`` is its name, or ``full``."""
    size = parser.add_mutually_exclusive_group()
    for word, meaning in meanings.items():
        size.add_argument(
            f"--{word}", dest="size", action="store_const", const=word, default="full",
            help=meaning,
        )  # fmt: skip


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"python -m bench {name}", description=description)
    add_sizes(made, quick="few and short rounds", smoke="shows that it runs, not how fast")
    made.add_argument(
        "--output", type=Path, default=tools.WORK / f"{name}.json", metavar="FILE",
        help="where the figures go, as JSON (default: %(default)s)",
    )  # fmt: skip
    return made
