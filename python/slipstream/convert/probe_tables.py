"""Probe rows as the input tensors of a model: a matrix of numbers, or a column each with text.

Columns whose values an encoder has learned are filled with those, with others that it does not know
and with missing ones, as far as the original answers for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters import sklearn_columns
from slipstream.adapters.base import Array, Served, quiet
from slipstream.convert import probe

_UNKNOWN_TEXTS = ("?", "no such category", "", "Ünbekannt")
_SHARE_ODD = 0.08
_MOST_OTHERS = 16


def answers(served: Served, inputs: list[Array]) -> bool:
    """Whether the original answers these rows at all."""
    try:
        with quiet():
            served.predict(served.rows([values.copy() for values in inputs]))
    except Exception:  # whatever it raises, it does not take them
        return False
    return True


def inputs_for(served: Served, seed: int = 0) -> list[Array]:
    """One array per input, finite where they are numbers; 2000 rows (1000 of wide models)."""
    rng = np.random.default_rng(seed)
    if served.layout == "columns":
        return _table(served, rng)
    rows = probe.rows_for(served, seed)
    learned = sklearn_columns.known_values(served.estimator, rows.shape[1])
    known = {place: _numbers(values) for place, values in learned.items()}
    for place, numbers in known.items():
        if len(numbers):
            rows[:, place] = rng.choice(numbers, len(rows))
    for place, numbers in known.items():
        _mix_in(served, [rows], 0, place, _odd_numbers(numbers), rng)
    return [rows]


def _numbers(values: list[Any]) -> Array:
    found = [float(value) for value in values if isinstance(value, (int, float))]
    return np.array(found, dtype=np.float64)


def _odd_numbers(known: Array) -> list[Any]:
    if not len(known):
        return []
    largest = float(np.abs(known).max())
    return [largest * 2 + 1.5, -largest - 1.0, float(known[0]) + 0.25, 1e9]


def _mix_in(
    served: Served, inputs: list[Array], which: int, place: int, odd: list[Any], rng: Any
) -> None:
    """Put each of ``odd`` into some rows of a column, if the original answers for it."""
    for value in odd:
        trial = [values[:2].copy() for values in inputs]
        trial[which][0, place] = value
        if answers(served, trial):
            hit = rng.random(len(inputs[which])) < _SHARE_ODD
            inputs[which][hit, place] = value


def _table(served: Served, rng: Any) -> list[Array]:
    count = probe.ROWS
    if served.is_text:
        return probe.table_for(served, count)
    columns = served.columns or ()
    rows = probe.rows_for(served, int(rng.integers(1 << 31)))[:count]
    known = sklearn_columns.known_values(served.estimator, len(columns))
    inputs: list[Array] = []
    for place, column in enumerate(columns):
        values = known.get(place)
        if column.dtype == "bool":
            inputs.append(rng.integers(0, 2, size=(count, 1)).astype(bool))
        elif column.dtype == "string":
            texts = [value for value in values or ["a"] if isinstance(value, str)]
            inputs.append(rng.choice(np.array(texts, dtype=object), size=(count, 1)))
        elif values and len(_numbers(values)):
            inputs.append(rng.choice(_numbers(values), size=(count, 1)))
        else:
            inputs.append(rows[:, [place]].astype(np.float64))
    others = sklearn_columns.other_values(served.estimator, len(columns))
    for place, column in enumerate(columns):
        other = others.get(place, [])[:_MOST_OTHERS]
        if column.dtype == "string":
            texts = [value for value in other if isinstance(value, str)]
            _mix_in(served, inputs, place, 0, [*texts, *_UNKNOWN_TEXTS, np.nan], rng)
        elif column.dtype == "float64" and known.get(place):
            odd = _odd_numbers(_numbers(known[place]))
            _mix_in(served, inputs, place, 0, [*_numbers(other), *odd], rng)
    return inputs
