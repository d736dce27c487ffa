"""Where a measurement was taken: without this, a figure means nothing later."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import slipstream

PACKAGES = ("slipstream", "onnxruntime", "numpy", "onnx")


class Environment(TypedDict):
    """What was measured, on what, and when."""

    commit: str | None
    """Of the Python sources that were imported; None when they are in no git checkout. An editable
    install compiles only when it is installed, so its compiled part may be older."""
    uncommitted_changes: bool | None
    cpu: str
    cores: int
    """Cores this process may use."""
    load_average_1min: float | None
    """Before measuring: well above zero means that others took part in the measurement."""
    system: str
    python: str
    packages: dict[str, str]
    time: str
    """ISO 8601, UTC."""


def describe() -> Environment:
    """Looks at this machine, this interpreter and the slipstream that it imports."""
    commit, changed = _commit_of(Path(slipstream.__file__))
    return Environment(
        commit=commit,
        uncommitted_changes=changed,
        cpu=_cpu_name(),
        cores=_usable_cores(),
        load_average_1min=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        system=platform.platform(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: version(name) for name in PACKAGES},
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _commit_of(file: Path) -> tuple[str | None, bool | None]:
    """Commit that holds ``file``, and whether tracked files differ from it."""
    # An installed copy may lie inside somebody else's checkout; only a tracked file counts.
    if _git(file.parent, "ls-files", "--error-unmatch", file.name) is None:
        return None, None
    commit = _git(file.parent, "rev-parse", "HEAD")
    changes = _git(file.parent, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    """What git printed; None when there is no git, or it refused."""
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
