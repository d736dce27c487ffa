"""Counts rows that a contender answers otherwise than the reference: speed of what, exactly."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Tolerance(NamedTuple):
    """How far an answer may be off: ``absolute + relative × scale`` of the value."""

    relative: float
    absolute: float = 0.0


class Comparison(NamedTuple):
    """How the answers of a contender compare with the reference's."""

    rows: int
    wrong_rows: int
    """Rows with at least one value beyond the tolerance, or NaN on one side only."""
    largest_difference: float
    """Absolute, over all values that are numbers on both sides."""


def compare(
    got: npt.NDArray[Any],
    expected: npt.NDArray[Any],
    tolerance: Tolerance,
    scale: npt.NDArray[Any] | None = None,
) -> Comparison:
    """Compares answers row by row.

    Args:
        got: The contender's, ``[rows]`` or ``[rows, outputs]``.
        expected: The reference's, of the same shape.
        tolerance: See `Tolerance`.
        scale: What ``tolerance.relative`` refers to, of the same shape; None: ``|expected|``.

    Raises:
        ValueError: the shapes differ: the two answer different questions.
    """
    if got.shape != expected.shape:
        raise ValueError(f"answers of shape {got.shape} for a reference of shape {expected.shape}")
    rows = len(expected)
    left = got.astype(np.float64).reshape(rows, -1)
    right = expected.astype(np.float64).reshape(rows, -1)
    size = np.abs(right) if scale is None else scale.astype(np.float64).reshape(rows, -1)
    with np.errstate(invalid="ignore"):  # of infinities
        difference = np.abs(left - right)
        limit = tolerance.absolute + tolerance.relative * size
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    difference[same] = 0.0
    # A limit that is infinite or NaN excuses nothing: there only the same value is right.
    wrong = ~(same | (np.isfinite(difference) & (difference <= limit)))
    numbers = difference[np.isfinite(difference)]
    return Comparison(
        rows=rows,
        wrong_rows=int(wrong.any(axis=1).sum()),
        largest_difference=float(numbers.max()) if numbers.size else 0.0,
    )
