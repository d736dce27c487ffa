"""Resident memory of this process and the workers it started."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from pathlib import Path

import psutil


def resident_bytes(*, with_children: bool = True) -> int:
    """Resident set size in bytes.

    Args:
        with_children: Also of the processes that this one started; finding them takes a look at
            every process of the machine.
    """
    process = psutil.Process()
    total = int(process.memory_info().rss)
    for child in process.children(recursive=True) if with_children else ():
        try:
            total += int(child.memory_info().rss)
        except psutil.Error:  # it ended between being listed and being asked
            continue
    return total


def worker_bytes(artifacts: Iterable[Path]) -> dict[int, int]:
    """Resident set sizes of the processes that run these artifacts for this process, by their ids.

    Models that start or end side by side are told apart, as growth of all memory cannot be.
    """
    wanted = {f"--artifact={path}".encode() for path in artifacts}
    found: dict[int, int] = {}
    for child in psutil.Process().children() if wanted else ():
        try:
            if wanted.intersection(Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0")):
                found[child.pid] = int(child.memory_info().rss)
        except (psutil.Error, OSError):  # it ended between being listed and being asked
            continue
    return found


def give_back_freed() -> None:
    """Has the C library return freed memory to the system, where it can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
