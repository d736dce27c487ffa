"""The command: ``python -m bench [SUITE] [--quick] [--output FILE.json]``.

The first word names a suite, whose options follow; without one it is the single network in process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import inprocess
from bench.lib import environment

SUITES = {
    "sim": "bench.sim.command",
    "all": "bench.everything",
    "forest": "bench.forest.command",
    "micro": "bench.micro.suite",
    "torch": "bench.torch_calls",
    "gpu": "bench.gpu.command",
    "overlap": "bench.overlap.suite",
    "autoscale": "bench.autoscale",
    "http": "bench.http.command",
    "stages": "bench.stages",
    "threads": "bench.threads",
    "startup": "bench.startup",
    "timeouts": "bench.timeouts",
    "memory": "bench.memory",
    "scale": "bench.scale",
    "reloads": "bench.reloads",
    "soak": "bench.soak.command",
    "compare": "bench.compare",
    "report": "bench.report.page",
}
"""Modules whose ``main`` takes the words after the suite's name."""
PACKAGES = ("slipstream", "onnxruntime", "numpy", "onnx")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit status: 1 when an answer was wrong."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in SUITES:
        # An exit that unwinds, so that servers which were started are ended.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        # Imported here: suites need libraries that the plain one does without.
        suite: Callable[[Sequence[str]], int] = importlib.import_module(SUITES[words[0]]).main
        return suite(words[1:])
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Compares slipstream with onnxruntime's own Python API, in one process.",
        epilog=f"Other suites: python -m bench SUITE --help, of {', '.join(SUITES)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few calls: shows that it runs, not how fast"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="also write the figures there, as JSON"
    )
    options = parser.parse_args(words)
    plan = inprocess.QUICK if options.quick else inprocess.FULL

    where = environment.describe(PACKAGES)
    with tempfile.TemporaryDirectory(prefix="slipstream-bench-") as folder:
        try:
            rows = inprocess.measure(Path(folder), plan)
        except inprocess.WrongAnswerError as error:
            print(f"bench: error: {error}", file=sys.stderr)
            return 1
    where = environment.finish(where)
    print("\n".join(environment.lines(where)))
    print_rows(rows)
    if options.quick:
        print("--quick: too few calls to quote these figures")
    if options.output is not None:
        record = {
            "environment": where,
            "quick": options.quick,
            "plan": plan._asdict(),
            "inprocess": rows,
        }
        options.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


def print_rows(rows: Sequence[inprocess.Row]) -> None:
    """Prints the table; times are in microseconds per call."""
    widths = "→".join(map(str, inprocess.WIDTHS))
    print(f"\nONNX network {widths}, one caller, µs per call; answers were equal before measuring")
    print(
        f"{'rows':>4}  {'way':<20}{'calls':>7}{'median':>10}{'p5':>10}{'p95':>10}"
        f"{'× onnxruntime':>15}{'inline':>9}"
    )
    for row in rows:
        share = row["inline_share"]
        inline = "-" if share is None else f"{share:.0%}"
        print(
            f"{row['batch_rows']:>4}  {row['way']:<20}{row['calls']:>7}{row['median_us']:>10.2f}"
            f"{row['p5_us']:>10.2f}{row['p95_us']:>10.2f}{row['ratio_to_onnxruntime']:>15.2f}"
            f"{inline:>9}"
        )


if __name__ == "__main__":
    sys.exit(main())
