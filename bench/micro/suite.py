"""The command: ``python -m bench micro``; runs `bench.micro.benchmarks` under pytest-benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.lib import tools
from bench.lib.suite import Say, Size, WrongError, command
from bench.lib.taken import Taken
from bench.micro import loops

BENCHMARKS = Path(__file__).with_name("benchmarks.py")
SECONDS = {"full": 2.0, "quick": 0.5, "smoke": 0.02}
"""Of each benchmark, by size."""


def measure(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """Nanoseconds an operation, by group of benchmarks.

    Raises:
        SetupError: the C++ loops could not be compiled.
        WrongError: a benchmark failed.
    """
    loops.library()
    with tempfile.TemporaryDirectory(prefix="bench-micro-") as folder:
        file = Path(folder) / "benchmarks.json"
        ended = subprocess.run(
            [
                sys.executable, "-m", "pytest", str(BENCHMARKS), "--quiet", "--override-ini",
                "addopts=", "--benchmark-only", "--benchmark-warmup=on",
                f"--benchmark-warmup-iterations={2 if size.name == 'smoke' else 20}",
                f"--benchmark-max-time={SECONDS[size.name]}", "--benchmark-min-rounds=5",
                f"--benchmark-json={file}",
            ],
            # A pytest that we run under would have this one behave as its worker.
            env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
            cwd=tools.ROOT, capture_output=True, text=True, check=False, timeout=1800,
        )  # fmt: skip
        if ended.returncode != 0:
            raise WrongError(f"micro: {(ended.stdout + ended.stderr)[-1500:]}")
        record = json.loads(file.read_text(encoding="utf-8"))
    groups: dict[str, list[Taken]] = {}
    for one in record["benchmarks"]:
        taken = Taken(one["name"].removeprefix("test_"), [figures(one)])
        groups.setdefault(f"micro: {one['group']}", []).append(taken)
        say(f"  {one['group']:<36} {taken.name:<28} {taken.rounds[0]['median_ns']:>12,.1f} ns")
    return groups


def figures(one: Mapping[str, Any]) -> dict[str, float]:
    """Nanoseconds an operation of one benchmark, as pytest-benchmark records it."""
    stats, operations = one["stats"], one["extra_info"]["operations"]
    return {
        f"{name}_ns": stats[key] / operations * 1e9
        for name, key in (("median", "median"), ("quartile_1", "q1"), ("quartile_3", "q3"))
    }


main = command("micro", "Single parts of the core and the wire, by pytest-benchmark.", measure)
