"""Resident memory of this process and the workers it started."""

from __future__ import annotations

import psutil


def resident_bytes() -> int:
    """Resident set size of this process and its children, in bytes."""
    process = psutil.Process()
    total = int(process.memory_info().rss)
    for child in process.children(recursive=True):
        try:
            total += int(child.memory_info().rss)
        except psutil.Error:  # it ended between being listed and being asked
            continue
    return total
