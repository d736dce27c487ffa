"""Where a measurement was taken: without this, a figure means nothing later."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

import slipstream
from bench.lib import timer


class Environment(TypedDict):
    """What was measured, on what, and when."""

    commit: str | None
    """Of the Python sources that were imported; None when they are in no git checkout. An editable
    install compiles only when it is installed, so its compiled part may be older."""
    uncommitted_changes: bool | None
    cpu: str
    cpu_flags: list[str]
    cores: int
    """Cores this process may use."""
    governor: str | None
    """How the first core's frequency is chosen; None where the system does not tell (most VMs)."""
    load_average_1min: float | None
    """Before measuring: well above zero means that others took part in the measurement."""
    load_average_1min_after: float | None
    """None until `finish`."""
    timer_overhead_ns: float
    system: str
    kernel: str
    compiler: str | None
    """The C++ compiler that is installed now, by the first line it says of itself."""
    python: str
    packages: dict[str, str]
    """Versions; a package that is not installed is missing."""
    time: str
    """ISO 8601, UTC; when the measurement began."""


def describe(packages: Sequence[str]) -> Environment:
    """Looks at this machine, this interpreter and the slipstream that it imports.

    Args:
        packages: Distributions whose versions are worth recording.
    """
    commit, changed = _commit_of(Path(slipstream.__file__))
    cpu, flags = _cpu()
    return Environment(
        commit=commit,
        uncommitted_changes=changed,
        cpu=cpu,
        cpu_flags=flags,
        cores=_usable_cores(),
        governor=_line_of(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load_average_1min=_load(),
        load_average_1min_after=None,
        timer_overhead_ns=timer.overhead_ns(),
        system=platform.platform(),
        kernel=platform.release(),
        compiler=_compiler(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=_versions(packages),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def finish(where: Environment) -> Environment:
    """The same with the load after measuring, our own part in it included."""
    ended = where.copy()
    ended["load_average_1min_after"] = _load()
    return ended


def lines(where: Environment) -> list[str]:
    """A line for each thing known about where this was measured."""
    commit = where["commit"] or "unknown (not a git checkout)"
    changed = " with uncommitted changes" if where["uncommitted_changes"] else ""
    load, after = where["load_average_1min"], where["load_average_1min_after"]
    ended = "" if after is None else f", {after:.2f} after"
    governor = where["governor"] or "unknown"
    return [
        f"commit    {commit}{changed}",
        f"cpu       {where['cpu']}, {where['cores']} cores usable, governor {governor}",
        f"load      {'unknown' if load is None else f'{load:.2f}'} (1 minute average, before)"
        + ended,
        f"system    {where['system']}, {where['python']}",
        f"compiler  {where['compiler'] or 'none found'}",
        f"packages  {', '.join(f'{name} {v}' for name, v in where['packages'].items())}",
        f"clock     {where['timer_overhead_ns']:.0f} ns a reading",
        f"time      {where['time']}",
    ]


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
    return _said(["git", "-C", str(folder), *arguments])


def _said(command: Sequence[str]) -> str | None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def _compiler() -> str | None:
    found = shutil.which(os.environ.get("CXX", "c++"))
    said = None if found is None else _said([found, "--version"])
    return said.splitlines()[0] if said else None


def _cpu() -> tuple[str, list[str]]:
    """The first core's name and what it can do; the latter empty outside Linux."""
    name, flags = platform.processor() or platform.machine(), []
    info = Path("/proc/cpuinfo")
    if info.is_file():
        fields = dict(
            line.replace("\t", "").split(":", 1)
            for line in info.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
            if ":" in line
        )
        name = fields.get("model name", name).strip()
        flags = sorted(fields.get("flags", fields.get("Features", "")).split())
    return name, flags


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _line_of(file: Path) -> str | None:
    return file.read_text(encoding="ascii").strip() if file.is_file() else None


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
