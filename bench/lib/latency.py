"""Latencies as a histogram of fine buckets: percentiles, merging, and what a plot needs."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

POINTS = 200
"""Most points of a curve that `Latency.curve` returns."""


@dataclass(frozen=True)
class Latency:
    """Counts by bucket: ``ends_ns[i]`` is where bucket i ends, which holds ``counts[i]`` values."""

    ends_ns: tuple[int, ...]
    counts: tuple[int, ...]
    max_ns: int

    @classmethod
    def of_buckets(cls, buckets: Sequence[Sequence[int]], max_ns: int) -> Latency:
        """From pairs of a bucket's end and its count, in ascending order."""
        return cls(tuple(end for end, _ in buckets), tuple(n for _, n in buckets), max_ns)

    @classmethod
    def merged(cls, several: Iterable[Latency]) -> Latency:
        """All values of several histograms whose buckets are cut alike."""
        counts: dict[int, int] = {}
        largest = 0
        for one in several:
            largest = max(largest, one.max_ns)
            for end, count in zip(one.ends_ns, one.counts, strict=True):
                counts[end] = counts.get(end, 0) + count
        ends = sorted(counts)
        return cls(tuple(ends), tuple(counts[end] for end in ends), largest)

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts)

    def percentile_us(self, percent: float) -> float | None:
        """Microseconds that ``percent`` of all values do not exceed, to within 1%; None: no values.

        Raises:
            ValueError: ``percent`` is not above 0 and up to 100.
        """
        if not 0 < percent <= 100:
            raise ValueError(f"no percentile {percent}")
        if not self.counts:
            return None
        rank = max(1, math.ceil(percent / 100 * self.count))
        seen = 0
        for end, count in zip(self.ends_ns, self.counts, strict=True):
            seen += count
            if seen >= rank:
                return min(end, self.max_ns) / 1e3
        raise AssertionError("ranks do not exceed the count")

    def mean_us(self) -> float:
        """The mean, to within 1%; 0 without values."""
        if not self.counts:
            return 0.0
        pairs = zip(self.ends_ns, self.counts, strict=True)
        return sum(end * count for end, count in pairs) / self.count / 1e3

    def share_within(self, limit_us: float) -> float:
        """Share of all values in buckets that end by ``limit_us``; 0 without values."""
        if not self.counts:
            return 0.0
        within = bisect.bisect_right(self.ends_ns, limit_us * 1e3)
        return sum(self.counts[:within]) / self.count

    def curve(self) -> tuple[list[float], list[float]]:
        """The distribution: microseconds, and the share of values up to there; a few points."""
        places, shares = [], []
        seen = 0
        step = max(1, len(self.counts) // POINTS)
        for index, (end, count) in enumerate(zip(self.ends_ns, self.counts, strict=True)):
            seen += count
            if index % step == 0 or index == len(self.counts) - 1:
                places.append(min(end, self.max_ns) / 1e3)
                shares.append(seen / self.count)
        return places, shares

    def figures(self) -> dict[str, Any]:
        """For a result file: p50, p90, p99, p99.9 and the largest, in microseconds; the curve."""
        places, shares = self.curve()
        return {
            "count": self.count,
            "p50_us": self.percentile_us(50),
            "p90_us": self.percentile_us(90),
            "p99_us": self.percentile_us(99),
            "p99_9_us": self.percentile_us(99.9),
            "max_us": self.max_ns / 1e3 if self.counts else None,
            "curve_us": [round(place, 1) for place in places],
            "curve_share": [round(share, 6) for share in shares],
        }
