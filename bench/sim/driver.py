"""Builds the simulator and asks it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "bench"
BUILD = WORK / "sim"
PROGRAM = BUILD / "sim_bench_driver"


class DriverError(Exception):
    """The simulator could not be built or run; the text holds the end of what was said."""


def build() -> None:
    """Compiles the simulator from the sources as they are now.

    Raises:
        DriverError: no CMake, or it failed.
    """
    scripts = Path(sysconfig.get_path("scripts"))
    cmake = shutil.which("cmake", path=f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}")
    if cmake is None:
        raise DriverError("cmake is not installed: run `make install`")
    ninja = scripts / "ninja"
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja.is_file() else []
    _call([cmake, "-S", str(HERE / "driver"), "-B", str(BUILD), *generator,
           "-DCMAKE_BUILD_TYPE=Release"])  # fmt: skip
    _call([cmake, "--build", str(BUILD)])


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
