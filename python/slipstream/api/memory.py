"""Resident memory of this process and the workers it started."""

from __future__ import annotations

import ctypes

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


def give_back_freed() -> None:
    """Has the C library return freed memory to the system, where it can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
