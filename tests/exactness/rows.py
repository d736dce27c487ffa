"""Rows on which a conversion goes wrong if it can, made from what an ensemble reacts to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slipstream.adapters.trees import TreeEnsemble

F64 = npt.NDArray[np.float64]
Rng = np.random.Generator

_HOLED = 0.2
_FLUSH_LIMIT = float(np.float32(1e-35))
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Facts:
    """What rows are made from.

    Attributes:
        training: f64[n, width], the rows a model was trained on.
        thresholds: Per column, what nodes compare it with; empty where none does.
        categories: Number of categories by column, of the categorical ones.
        missing: What stands for a missing value.
        finite: Whether the library refuses what float32 cannot hold.
    """

    training: F64
    thresholds: tuple[F64, ...]
    categories: Mapping[int, int]
    missing: tuple[float, ...] = (np.nan,)
    finite: bool = False

    @property
    def width(self) -> int:
        """Columns of a row."""
        return self.training.shape[1]

    def used(self) -> npt.NDArray[np.int64]:
        """The columns that some node looks at."""
        found = [at for at, known in enumerate(self.thresholds) if len(known)]
        return np.array(sorted({*found, *self.categories}), dtype=np.int64)


def facts_of(trees: TreeEnsemble, training: F64) -> Facts:
    """The facts about an ensemble whose rows are those of ``training``."""
    width = training.shape[1]
    columns = np.arange(width) if trees.columns is None else trees.columns
    nodes = np.flatnonzero(~trees.is_leaf & (trees.sets_of_nodes < 0))
    column_of = columns[trees.feature[nodes]]
    thresholds = tuple(np.unique(trees.threshold[nodes[column_of == at]]) for at in range(width))
    categories: dict[int, int] = {}
    for feature, category in trees.categories.items():
        column = int(columns[feature])
        categories[column] = max(category.count, categories.get(column, 0))
    missing = (np.nan,) if np.isnan(trees.missing_value) else (np.nan, trees.missing_value)
    return Facts(training, thresholds, categories, missing)


def plain(facts: Facts, count: int, rng: Rng) -> F64:
    """Training rows with noise; categories stay what they were."""
    rows = facts.training[rng.integers(0, len(facts.training), size=count)].astype(np.float64)
    scale = np.nan_to_num(np.nanstd(facts.training, axis=0), nan=1.0)
    noisy = rows + rng.normal(size=rows.shape) * scale * 0.3
    for column in facts.categories:
        noisy[:, column] = rows[:, column]
    return noisy


def nan_trained(facts: Facts, count: int, rng: Rng) -> F64:
    """NaN in columns that some node looks at, and whatever else is missing to the model."""
    rows, used = plain(facts, count, rng), facts.used()
    holes = rng.random((count, len(used))) < _HOLED
    missing = rng.choice(np.array(facts.missing), size=holes.shape)
    rows[:, used] = np.where(holes, missing, rows[:, used])
    return rows


def nan_anywhere(facts: Facts, count: int, rng: Rng) -> F64:
    """NaN in any column, some rows of nothing else."""
    rows = plain(facts, count, rng)
    rows[rng.random(rows.shape) < _HOLED] = np.nan
    rows[rng.random(count) < 0.01] = np.nan
    return rows


def at_thresholds(facts: Facts, count: int, rng: Rng) -> F64:
    """Every cell exactly a threshold of its column."""
    rows = plain(facts, count, rng)
    for column, known in enumerate(facts.thresholds):
        if len(known):
            rows[:, column] = rng.choice(known, size=count)
    return rows


def beside_in_float64(facts: Facts, count: int, rng: Rng) -> F64:
    """Every cell the float64 next to a threshold, above or below."""
    rows = at_thresholds(facts, count, rng)
    beside = np.nextafter(rows, np.where(rng.random(rows.shape) < 0.5, -np.inf, np.inf))
    for column in facts.categories:
        beside[:, column] = rows[:, column]
    return beside


def beside_in_float32(facts: Facts, count: int, rng: Rng) -> F64:
    """Every cell a threshold in float32, or the float32 above or below."""
    rows = at_thresholds(facts, count, rng)
    single = rows.astype(np.float32)
    up = np.nextafter(single, np.float32(np.inf))
    down = np.nextafter(single, np.float32(-np.inf))
    beside = np.choose(rng.integers(0, 3, size=rows.shape), [single, up, down]).astype(np.float64)
    for column in facts.categories:
        beside[:, column] = rows[:, column]
    return beside


def _sprinkled(facts: Facts, count: int, rng: Rng, values: F64, share: float) -> F64:
    rows = plain(facts, count, rng)
    hit = rng.random(rows.shape) < share
    rows[hit] = rng.choice(values, size=int(hit.sum()))
    return rows


def infinite(facts: Facts, count: int, rng: Rng) -> F64:
    """Some cells infinite, of either sign."""
    return _sprinkled(facts, count, rng, np.array([np.inf, -np.inf]), 0.25)


def tiny(facts: Facts, count: int, rng: Rng) -> F64:
    """Zeros of both signs, denormals, and the neighbourhood of LightGBM's zero."""
    edges = [0.0, 5e-324, 1e-310, 1e-45, 1.4e-45, 1e-36, 1e-35, _FLUSH_LIMIT]
    edges += [float(np.nextafter(_FLUSH_LIMIT, 1.0)), float(np.nextafter(_FLUSH_LIMIT, 0.0))]
    edges += [float(np.nextafter(np.float32(1e-35), np.float32(1.0))), 1e-30]
    return _sprinkled(facts, count, rng, np.array([*edges, *(-edge for edge in edges)]), 0.5)


def huge(facts: Facts, count: int, rng: Rng) -> F64:
    """Large numbers that float32 still holds."""
    edges = [1e37, 1e38, 3.4e38, _LARGEST_FLOAT32, 2.0**31, 2.0**53, 16777216.0, 16777217.0]
    return _sprinkled(facts, count, rng, np.array([*edges, *(-edge for edge in edges)]), 0.3)


def beyond_float32(facts: Facts, count: int, rng: Rng) -> F64:
    """Numbers that float32 cannot hold."""
    edges = [_LARGEST_FLOAT32 * (1 + 2**-25), _LARGEST_FLOAT32 * (1 + 2**-24), 1e39, 1e300]
    edges.append(float(np.finfo(np.float64).max))
    return _sprinkled(facts, count, rng, np.array([*edges, *(-edge for edge in edges)]), 0.3)


def categories(facts: Facts, count: int, rng: Rng) -> F64:
    """Categories known, unknown, negative, fractional, huge and missing."""
    rows = plain(facts, count, rng)
    odd = np.array([-1.0, -0.5, -0.0, -1e-36, -3.0, -1e9, 0.5, 1.999999, 1e9, 2.0**31, 2.0**32,
                    2.0**24, 2.0**24 - 1, 1e20, np.nan])  # fmt: skip
    for column, known in facts.categories.items():
        edge = np.array([known - 1.0, known - 0.5, known, known + 1.0, known + 0.5])
        choice = rng.integers(0, 4, size=count)
        rows[:, column] = np.choose(
            choice,
            [
                rng.integers(0, max(known, 1), size=count).astype(np.float64),
                rng.integers(0, max(known, 1), size=count) + rng.random(count),
                rng.choice(odd, size=count),
                rng.choice(edge, size=count),
            ],
        )
    return rows


KINDS: dict[str, Callable[[Facts, int, Rng], F64]] = {
    "plain": plain,
    "NaN in used columns": nan_trained,
    "NaN anywhere": nan_anywhere,
    "at thresholds": at_thresholds,
    "±1 ulp of float64": beside_in_float64,
    "±1 ulp of float32": beside_in_float32,
    "infinite": infinite,
    "zeros, denormals": tiny,
    "huge": huge,
    "beyond float32": beyond_float32,
    "categories": categories,
}
"""By the name that the table of counts shows."""


def kinds_for(facts: Facts) -> list[str]:
    """The kinds that make sense for this model."""
    without = {"infinite", "beyond float32"} if facts.finite else set()
    if not facts.categories:
        without.add("categories")
    return [kind for kind in KINDS if kind not in without]


def make(kind: str, facts: Facts, count: int, seed: int = 0) -> F64:
    """f64[count, width] of a kind, the same in every run."""
    rng = np.random.default_rng([seed, *KINDS[kind].__name__.encode()])
    rows = KINDS[kind](facts, count, rng)
    if facts.finite:  # thresholds themselves may be infinite
        return np.clip(rows, -_LARGEST_FLOAT32, _LARGEST_FLOAT32)
    return rows
