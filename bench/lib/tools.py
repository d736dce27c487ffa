"""Runs tools, builds C++ programs and makes environments; all of it below ``build/bench``."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build" / "bench"


class SetupError(Exception):
    """Something could not be installed, built or started; the text holds what it said."""


def call(command: Sequence[str | Path], timeout_s: float = 1800.0) -> str:
    """Runs a tool and returns what it printed.

    Raises:
        SetupError: it failed, is not there, or took too long.
    """
    scripts = [Path(word).name for word in command if Path(word).suffix == ".py"]
    name = (scripts or [Path(command[0]).name])[0]
    try:
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s,
            check=False, cwd=ROOT,
        )  # fmt: skip
    except OSError as error:
        raise SetupError(f"{name} cannot be run: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{name} took more than {timeout_s:g} s") from error
    text = ended.stdout.decode("utf-8", "replace")
    if ended.returncode != 0:
        raise SetupError(f"{name} failed ({ended.returncode}): {' '.join(text.split())[-400:]}")
    return text


_failed: dict[str, str] = {}
"""Environments that could not be installed, and why: not tried again by this process."""


def environment(requirements: Path, name: str) -> Path:
    """The interpreter of the environment of that name, which is made if needed.

    Args:
        requirements: What is installed; the environment is made anew when the file changes.
        name: Of the folder below ``build/bench/env``.
    """
    folder = WORK / "env" / name
    python = folder / "bin" / "python"
    wanted = digest(requirements.read_bytes(), sys.version.encode())
    stamp = folder / "made-from"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        if name in _failed:
            raise SetupError(_failed[name])
        print(f"installing {name} into {folder.relative_to(ROOT)}", flush=True)
        try:
            call([sys.executable, "-m", "venv", "--clear", folder])
            call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                  "-r", requirements])  # fmt: skip
        except SetupError as error:
            _failed[name] = str(error)
            raise
        stamp.write_text(wanted)
    return python


def packages(requirements: Path) -> dict[str, str]:
    """What requirements pin, by distribution."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {package: version for package, _, version in pins}


def cmake(sources: Path, build: Path, target: str, *definitions: str) -> None:
    """Builds a target as the sources are now; ``definitions`` are CMake's (``-DNAME=VALUE``).

    Raises:
        SetupError: it does not build, or there is no cmake.
    """
    scripts = Path(sysconfig.get_path("scripts"))
    found = shutil.which("cmake", path=f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise SetupError("cmake is not installed: run `make install`")
    ninja = scripts / "ninja"
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja.is_file() else []
    call([found, "-S", sources, "-B", build, *generator, "-DCMAKE_BUILD_TYPE=Release",
          *definitions])  # fmt: skip
    call([found, "--build", build, "--target", target])


def digest(*parts: bytes) -> str:
    """A name for that content."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
