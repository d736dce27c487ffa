"""Medians with their spread, and ratios taken round by round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """What a list of samples comes to; in the unit of the samples."""

    median: float
    mad: float
    """Median absolute deviation from the median: half of the samples lie within it."""
    minimum: float
    maximum: float
    samples: int

    @property
    def relative(self) -> float:
        """``mad`` as a share of the median; 0 when the median is 0."""
        return self.mad / self.median if self.median else 0.0


def spread_of(samples: Sequence[float]) -> Spread:
    """Median, MAD, smallest and largest.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples: a contender that was left out has no spread")
    median = statistics.median(samples)
    return Spread(
        median=median,
        mad=statistics.median(abs(sample - median) for sample in samples),
        minimum=min(samples),
        maximum=max(samples),
        samples=len(samples),
    )


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """How many times longer ``theirs`` took: the ratio of every round, then their median.

    Raises:
        ValueError: the two were not sampled in the same rounds.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} rounds of one and {len(theirs)} of the other: not one run")
    return spread_of([b / a for a, b in zip(ours, theirs, strict=True)])
