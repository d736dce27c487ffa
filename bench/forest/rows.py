"""Rows to train on, to time with, and to check answers on; all from fixed seeds.

The target is a sum of products and steps of a few columns with a tenth of the labels drawn at
random, so that trees grow deep and probabilities stay away from 0 and 1, where a wrong decision
would hide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bench.forest.cases import Case

Rows = npt.NDArray[np.float64]

MISSING_SHARE = 0.02
"""Of the values in training rows, so that every feature's missing values have a trained way."""
CHECK_MISSING_SHARE = 0.1
ODD_SHARE = 0.05
_SEED = 20_240_229


def training_rows(case: Case) -> tuple[Rows, npt.NDArray[np.int64]]:
    """What a case is trained on: ``[rows, features]`` with NaN, and labels ``[rows]``."""
    rng = np.random.default_rng([_SEED, case.features, case.classes])
    x = _plain(rng, case, case.training_rows)
    y = _labels(rng, x, case.classes)
    x[rng.random(x.shape) < MISSING_SHARE] = np.nan
    return x, y


def plain_rows(case: Case, count: int, seed: int = 1) -> Rows:
    """Rows that the model has not seen, without missing values; for timing and for checking."""
    return _plain(np.random.default_rng([_SEED, 7, seed]), case, count)


def rows_with_missing(case: Case, count: int) -> Rows:
    """Plain rows with a tenth of all values missing, in any column."""
    rng = np.random.default_rng([_SEED, 8])
    x = _plain(rng, case, count)
    x[rng.random(x.shape) < CHECK_MISSING_SHARE] = np.nan
    return x


def rows_on_thresholds(case: Case, count: int, thresholds: dict[int, Rows]) -> Rows:
    """Rows whose every value equals a threshold of its column, where the model has any.

    Args:
        case: For the columns that the model never splits on.
        count: How many rows.
        thresholds: The model's thresholds by column.
    """
    rng = np.random.default_rng([_SEED, 9])
    x = _plain(rng, case, count)
    for column, values in thresholds.items():
        x[:, column] = rng.choice(values, count)
    return _exact(case, x)


def rows_beside_thresholds(case: Case, count: int, thresholds: dict[int, Rows]) -> Rows:
    """Rows of float32 values next to thresholds, with zeros and extreme values strewn in.

    Every value is the float32 nearest to a threshold of its column, or one of its neighbours, so
    that rivals which take float32 get the very row that the library decides on; a twentieth of the
    values are ±0, denormals, ±1e-35 (LightGBM's zero), ±1e38 or ±inf (where it is allowed).
    """
    rng = np.random.default_rng([_SEED, 10])
    x = _plain(rng, case, count).astype(np.float32)
    for column, values in thresholds.items():
        near = rng.choice(values, count).astype(np.float32)
        step = rng.integers(-1, 2, count)
        moved = np.nextafter(near, np.where(step < 0, -np.inf, np.inf).astype(np.float32))
        x[:, column] = np.where(step == 0, near, moved)
    odd = [0.0, -0.0, 1e-45, -1e-45, 1e-39, 1e-35, -1e-35, 1e38, -1e38]
    if case.dtype == "float64":
        odd += [np.inf, -np.inf]  # XGBoost and RandomForest refuse infinity
    strewn = rng.random(x.shape) < ODD_SHARE
    x[strewn] = rng.choice(np.array(odd, np.float32), int(strewn.sum()))
    return x.astype(np.float64)


def _plain(rng: np.random.Generator, case: Case, count: int) -> Rows:
    return _exact(case, rng.normal(size=(count, case.features)))


def _exact(case: Case, x: Rows) -> Rows:
    """The same values, rounded to what the library decides in."""
    return x if case.dtype == "float64" else x.astype(np.float32).astype(np.float64)


def _labels(rng: np.random.Generator, x: Rows, classes: int) -> npt.NDArray[np.int64]:
    used = x[:, : min(x.shape[1], 30)]
    score: npt.NDArray[Any] = (
        used[:, 0] * used[:, 1]
        + np.sin(2 * used[:, 2])
        + np.where(used[:, 3] > 0.3, used[:, 4], -used[:, 5])
        + 0.5 * np.abs(used[:, 6])
        + used[:, 7:] @ rng.normal(0, 0.25, used.shape[1] - 7)
        + rng.normal(0, 0.7, len(used))
    )
    bounds = np.quantile(score, np.arange(1, classes) / classes)
    y: npt.NDArray[np.int64] = np.searchsorted(bounds, score)
    drawn = rng.random(len(y)) < 0.1
    y[drawn] = rng.integers(0, classes, int(drawn.sum()))
    return y
