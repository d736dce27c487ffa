"""What the original raises for, column by column: a number that is missing, or infinite.

Libraries check a table before they compute, each estimator by its own rule: an imputer takes what
is missing in its columns, a scaler beside it does not take infinity. A compiled model would answer
anything, so it has to be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slipstream.adapters import lightgbm, sklearn_trees, xgboost
from slipstream.adapters.base import Array, Served
from slipstream.convert import probe_tables

_MOST_COLUMNS = 256
"""Columns that are asked about one by one; wider tables take or refuse a number everywhere."""


@dataclass(frozen=True)
class Refused:
    """bool[width] of each input: whether a column may not hold it. Inputs of text are all False.

    Attributes:
        missing: NaN.
        infinite: Infinity.
        takes_missing: Whether some column may.
    """

    missing: list[Array]
    infinite: list[Array]
    takes_missing: bool


def refused(served: Served, inputs: list[Array]) -> Refused:
    """Ask the original; ``inputs`` are rows that it answers."""
    rows = [values[:2] for values in inputs]
    missing = _refused(served, rows, np.nan)
    infinite = _refused(served, rows, np.inf)
    numbers = [at for at, values in enumerate(rows) if values.dtype.kind == "f"]
    takes = any(not missing[at].all() for at in numbers)
    return Refused(missing, infinite, takes)


def _refused(served: Served, rows: list[Array], number: float) -> list[Array]:
    """By column: whether the original raises where it holds ``number``."""
    places = [
        (at, column)
        for at, values in enumerate(rows)
        if values.dtype.kind == "f"
        for column in range(values.shape[1])
    ]
    found = [np.zeros(values.shape[1], dtype=bool) for values in rows]
    if not places or _answers(served, rows, places, number):
        return found
    alike = _treats_columns_alike(served.estimator) or len(places) > _MOST_COLUMNS
    for place in places:
        if alike or not _answers(served, rows, [place], number):
            found[place[0]][place[1]] = True
    return found


def _answers(
    served: Served, rows: list[Array], places: list[tuple[int, int]], number: float
) -> bool:
    trial = [values.copy() for values in rows]
    for at, column in places:
        trial[at][0, column] = number
    return probe_tables.answers(served, trial)


def _treats_columns_alike(estimator: Any) -> bool:
    if getattr(estimator, "_preprocessor", None) is not None:  # HistGradientBoosting's encoders
        return False
    return any(library.is_tree_model(estimator) for library in (sklearn_trees, xgboost, lightgbm))
