"""How two libraries' answers differ, counted per model and kind of row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass
class Count:
    """Of some rows: what was compared and what was wrong.

    Attributes:
        rows: How many.
        leaves, wrong_leaves: Decisions of trees (rows times trees) that the library tells.
        scores, other_bits: Raw scores, and those that are not the same bits.
        ulps: The largest distance of raw scores, in units in the last place.
        labels, wrong_labels: Predictions of classifiers.
        shares_ulps: The largest distance of final answers (probabilities or numbers).
    """

    rows: int = 0
    leaves: int = 0
    wrong_leaves: int = 0
    scores: int = 0
    other_bits: int = 0
    ulps: int = 0
    labels: int = 0
    wrong_labels: int = 0
    answer_ulps: int = 0

    def __iadd__(self, other: Count) -> Count:
        for name, value in vars(other).items():
            both = (getattr(self, name), value)
            setattr(self, name, max(both) if name.endswith("ulps") else sum(both))
        return self


def sum_of(counts: Iterable[Count]) -> Count:
    """All of them together."""
    total = Count()
    for count in counts:
        total += count
    return total


Table = dict[tuple[str, str, str], Count]
"""By library, model and kind of row."""


def ulps(found: Array, expected: Array) -> Array:
    """i64, elementwise: units in the last place of the type of ``expected``; NaN equals NaN.

    Zeros of either sign are the same number.
    """
    kind = np.int32 if expected.dtype == np.float32 else np.int64
    ends = []
    for values in (found.astype(expected.dtype), expected):
        bits = np.ascontiguousarray(values).view(kind).astype(np.int64)
        ends.append(np.where(bits < 0, np.iinfo(kind).min - bits, bits))
    # Far apart, the difference of int64 would wrap; half of it is far enough.
    gap = np.abs(ends[0] // 2 - ends[1] // 2)
    near = np.where(gap < 2**52, np.abs(ends[0] - ends[1]), gap)
    both_nan = np.isnan(found) & np.isnan(expected)
    one_nan = np.isnan(found) ^ np.isnan(expected)
    return np.where(both_nan, 0, np.where(one_nan, np.iinfo(np.int64).max, near))


def same_bits(found: Array, expected: Array) -> Array:
    """bool, elementwise; the sign of a zero counts, the payload of a NaN does not."""
    if found.dtype == object:  # text
        return np.asarray(found == expected, dtype=bool)
    same = (found == expected) & (np.signbit(found) == np.signbit(expected))
    return same | (np.isnan(found) & np.isnan(expected))


def wrong_leaves(found: Array, expected: Array) -> Array:
    """bool[rows, trees]: rows that are not in the leaf where the library has them.

    The libraries number leaves in their own way, so leaves correspond if the same rows are in them:
    per tree the pairs of numbers must be one to one. Of a leaf's rows the majority is right.
    """
    wrong = np.zeros(found.shape, dtype=bool)
    for tree in range(found.shape[1]):
        ours, theirs = _from_zero(found[:, tree]), _from_zero(expected[:, tree])
        shape = (int(ours.max()) + 1, int(theirs.max()) + 1)
        pairs = np.bincount(ours * shape[1] + theirs, minlength=shape[0] * shape[1]).reshape(shape)
        matched = (pairs.argmax(axis=1)[ours] == theirs) & (pairs.argmax(axis=0)[theirs] == ours)
        wrong[:, tree] = ~matched
    return wrong


def _from_zero(numbers: Array) -> Array:
    whole = numbers.astype(np.int64)
    return whole - whole.min()


def lines(table: Table, by: int) -> Iterable[str]:
    """The counts as text, summed by model (``by`` 1) or by kind of row (2)."""
    summed: dict[tuple[str, str], Count] = {}
    for key, count in table.items():
        name = (key[0], key[by])
        summed[name] = sum_of([summed.get(name, Count()), count])
    heads = ("rows", "leaves", "wrong", "scores", "other bits", "ulps", "labels", "wrong", "ulps")
    yield f"{'':44}" + "".join(f"{head:>12}" for head in heads)
    for (library, name), count in summed.items():
        yield f"{library + ': ' + name:44}" + "".join(f"{v:>12,}" for v in vars(count).values())
