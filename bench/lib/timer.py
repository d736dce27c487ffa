"""What reading the clock costs, and when that is too much of what is measured."""

from __future__ import annotations

import statistics
import time

LARGEST_SHARE = 0.1


def overhead_ns(readings: int = 2000) -> float:
    """Median nanoseconds between two readings of ``time.perf_counter_ns`` with nothing between."""
    now = time.perf_counter_ns
    gaps = []
    for _ in range(readings):
        start = now()
        gaps.append(now() - start)
    return statistics.median(gaps)


def warning(what: str, measured_ns: float, clock_ns: float) -> str | None:
    """A sentence when the clock is more than a tenth of the figure; else None.

    Args:
        what: Names the figure.
        measured_ns: Between two readings of the clock.
        clock_ns: What the two readings cost, from `overhead_ns`.
    """
    share = clock_ns / measured_ns if measured_ns > 0 else 1.0
    if share <= LARGEST_SHARE:
        return None
    return (
        f"{what}: reading the clock takes {share:.0%} of what was measured; time more calls at once"
    )
