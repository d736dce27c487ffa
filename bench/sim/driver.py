"""Builds the simulator and asks it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.lib import tools

HERE = Path(__file__).resolve().parent
PROGRAM = tools.WORK / "sim" / "sim_bench_driver"


class DriverError(Exception):
    """The simulator refused a line or crashed; the text holds the end of what was said."""


def build() -> None:
    """Compiles the simulator from the sources as they are now.

    Raises:
        SetupError: no CMake, or it failed.
    """
    tools.cmake(HERE / "driver", PROGRAM.parent, PROGRAM.name)


def outcomes(lines: Sequence[str]) -> list[list[dict[str, Any]]]:
    """For each scenario, the outcome of each policy that its line names (all, if none).

    Raises:
        DriverError: the simulator refused a line or crashed.
    """
    return [
        [json.loads(outcome) for outcome in _call([str(PROGRAM)], line + "\n").splitlines()]
        for line in lines
    ]


def _call(command: Sequence[str], text: str = "") -> str:
    ended = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        said = " ".join((ended.stdout + ended.stderr).split())[-400:]
        raise DriverError(f"{Path(command[0]).name} failed ({ended.returncode}): {said}")
    return ended.stdout
