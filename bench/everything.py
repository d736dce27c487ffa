"""Every suite with goals but the forest's, and more: ``make bench`` (quick), ``make bench-full``.

Prints our figures beside the goals, writes ``build/bench/all.json`` and a report to
``build/bench/report/index.html``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import goals, inprocess, memory, scale, stages, startup, threads
from bench.goals import ORT
from bench.http import command as http
from bench.http.servers import OURS
from bench.lib import environment, results, suite, tools
from bench.lib.goals import evaluate, table
from bench.lib.suite import SIZES, Say, Size, WrongError
from bench.lib.taken import Taken
from bench.micro import parse
from bench.micro import suite as micro
from bench.report import page

SUITE = "all"
PACKAGES = http.PACKAGES
DEFAULT_OUTPUT = tools.WORK / "all.json"
_INPROCESS_RUNS = 5


def measure_inprocess(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """The median of single predictions in process, a few times over.

    Raises:
        WrongError: a way answers otherwise than onnxruntime.
    """
    plan = inprocess.QUICK if size.name == "smoke" else inprocess.FULL
    share = plan._replace(rounds=max(2, plan.rounds // _INPROCESS_RUNS))
    names = {inprocess.PREDICT: OURS, inprocess.REFERENCE: ORT}  # as the goals call them
    taken: dict[str, Taken] = {}
    for number in range(1, _INPROCESS_RUNS + 1):
        with tempfile.TemporaryDirectory(prefix="slipstream-bench-") as folder:
            try:
                rows = inprocess.measure(Path(folder), share)
            except inprocess.WrongAnswerError as error:
                raise WrongError(str(error)) from error
        one = {row["way"]: row["median_us"] for row in rows if row["batch_rows"] == 1}
        for way, median_us in one.items():
            mine = taken.setdefault(way, Taken(names.get(way, way)))
            mine.rounds.append({"p50_us": median_us})
        said = "  ".join(f"{way} {median_us:.2f} µs" for way, median_us in one.items())
        say(f"  run {number}/{_INPROCESS_RUNS}  {said}")
    return {"inprocess": list(taken.values())}


SUITES: dict[str, suite.Measure] = {
    "inprocess": measure_inprocess,
    "parse": parse.measure_all,
    "micro": micro.measure,
    "threads": threads.measure,
    "startup": startup.measure,
    "memory": memory.measure,
    "stages": stages.measure,
    "scale": scale.measure,
}
"""Those that `bench.lib.suite` runs; ``http`` comes after them."""
FULL_ONLY = ("scale",)
EVERY = (*SUITES, http.SUITE)


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    made = argparse.ArgumentParser(
        prog="python -m bench all", description="Measures everything, and compares with the goals."
    )
    size = made.add_mutually_exclusive_group()
    for word in ("quick", "smoke"):
        size.add_argument(
            f"--{word}", dest="size", action="store_const", const=word, default="full"
        )
    made.add_argument("--suites", type=http.names(EVERY), metavar="A,B", help=", ".join(EVERY))
    made.add_argument(
        "--rivals", type=http.names(http.RIVALS), metavar="A,B", help="of the suite http"
    )
    made.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="FILE")
    return made


def main(arguments: Sequence[str]) -> int:
    """Measures; 1 when an answer was wrong or something of ours failed."""
    options = parser().parse_args(arguments)
    size = SIZES[options.size]
    chosen = options.suites or [
        name for name in EVERY if name not in FULL_ONLY or size.name == "full"
    ]
    began = time.monotonic()
    where = environment.describe(PACKAGES)
    print("\n".join(environment.lines(where)), flush=True)
    record: dict[str, Any] = {"environment": where, "size": size.name, "scenarios": {}}
    failed: list[str] = []
    for number, name in enumerate(chosen, 1):
        passed_s = time.monotonic() - began
        print(f"\n[{number}/{len(chosen)}] {name} ({passed_s:.0f} s so far)", flush=True)
        try:
            failed += _measure(name, size, options.rivals, record)
        except (tools.SetupError, WrongError, http.LoadError, OSError) as error:
            failed.append(f"{name}: {error}")
            print(f"  failed: {error}", flush=True)
        record["environment"] = environment.finish(where)
        results.write(options.output, SUITE, record)
    _print(record, size)
    print("\n".join(page.write(record, tools.WORK / "report")))
    print(f"wrote {options.output}")
    for what in failed:
        print(f"bench: error: {what}", file=sys.stderr)
    return 1 if failed else 0


def _measure(
    name: str, size: Size, rivals: Sequence[str] | None, record: dict[str, Any]
) -> list[str]:
    """Measures one suite into the record; returns what was wrong."""
    if name == http.SUITE:
        found = http.measure(size.name, None, rivals, tools.WORK / "http.json")
        record["http"] = {key: value for key, value in found.items() if key != "scenarios"}
        record["scenarios"] |= found["scenarios"]
        return list(found["wrong"])
    taken = SUITES[name](size, lambda text: print(text, flush=True))
    record["scenarios"] |= {key: [one.record() for one in every] for key, every in taken.items()}
    return []


def _print(record: dict[str, Any], size: Size) -> None:
    outcomes = [evaluate(goal, record["scenarios"], goals.NOT_RIVALS) for goal in goals.GOALS]
    print(f"\n{table(outcomes)}")
    if size.name != "full":
        print(f"--{size.name}: few and short rounds; quote only `make bench-full`")
