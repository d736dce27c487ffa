"""How far two answers to the same rows agree."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MOST_ROWS = 1024
"""Rows compared of one answer: enough to tell, whatever a client sends."""
MOST_NUMBERS = 65_536
"""Elements compared of one output: fewer rows where they are wide, and the beginning of one that
is wider still."""
_RELATIVE, _ABSOLUTE = 1e-5, 1e-8
"""Numbers that are this close agree (NumPy's ``isclose``)."""

Values = npt.NDArray[Any]


class Agreement(NamedTuple):
    """One comparison, or several together."""

    rows: int = 0
    agreeing: int = 0
    """Rows with the same labels, or numbers equal to about five digits; NaN equals NaN."""
    numbers: int = 0
    """Pairs of finite numbers that were subtracted."""
    difference_sum: float = 0.0
    """Of their absolute differences."""
    most_difference: float = 0.0

    @property
    def mean_difference(self) -> float | None:
        """None where nothing was subtracted."""
        return self.difference_sum / self.numbers if self.numbers else None

    @property
    def max_difference(self) -> float | None:
        """None where nothing was subtracted."""
        return self.most_difference if self.numbers else None

    def plus(self, other: Agreement) -> Agreement:
        """Both together."""
        return Agreement(
            self.rows + other.rows,
            self.agreeing + other.agreeing,
            self.numbers + other.numbers,
            self.difference_sum + other.difference_sum,
            max(self.most_difference, other.most_difference),
        )


def agreement(one: Any, other: Any, most_rows: int = MOST_ROWS) -> Agreement:
    """Compares what two models answered to the same request, up to its first ``most_rows`` rows.

    Args:
        one: An array whose first dimension is the rows, or several by output name or in a list.
        other: The same of the other model. What has another form, or another number of rows,
            agrees in no row.
        most_rows: What is behind them is not looked at.
    """
    pairs = _pairs(one, other)
    if pairs is None:
        return Agreement(rows=_rows_of(one, most_rows))
    rows = min((_rows_looked_at(*pair, most_rows) for pair in pairs), default=0)
    same = np.ones(rows, dtype=bool)
    found = Agreement()
    for left, right in pairs:
        if left.shape != right.shape:
            same[:] = False
        elif rows:
            is_same, numbers = _compared(_table(left, rows), _table(right, rows))
            same &= is_same
            found = found.plus(numbers)
    return found._replace(rows=rows, agreeing=int(same.sum()))


def first_rows(answer: Any, most_rows: int = MOST_ROWS) -> Any:
    """As much of an answer as `agreement` looks at, copied: the rest may be forgotten."""
    if isinstance(answer, dict):
        return {name: first_rows(part, most_rows) for name, part in answer.items()}
    if isinstance(answer, list):
        return [first_rows(part, most_rows) for part in answer]
    values = np.atleast_1d(answer)
    return values[: _rows_looked_at(values, values, most_rows)].copy()


def _pairs(one: Any, other: Any) -> list[tuple[Values, Values]] | None:
    """The arrays that belong together; None where the answers have different parts."""
    if isinstance(one, dict) or isinstance(other, dict):
        if not (isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys()):
            return None
        parts = [(one[name], other[name]) for name in one]
    elif isinstance(one, list) or isinstance(other, list):
        if not (isinstance(one, list) and isinstance(other, list) and len(one) == len(other)):
            return None
        parts = list(zip(one, other, strict=True))
    else:
        parts = [(one, other)]
    return [(np.atleast_1d(left), np.atleast_1d(right)) for left, right in parts]


def _rows_of(answer: Any, most_rows: int) -> int:
    parts = list(answer.values()) if isinstance(answer, dict) else answer
    first = parts[0] if isinstance(parts, list) and parts else parts
    return min(most_rows, len(np.atleast_1d(first)))


def _rows_looked_at(left: Values, right: Values, most_rows: int) -> int:
    width = max(1, left[:1].size, right[:1].size)
    return min(most_rows, max(len(left), len(right)), max(1, MOST_NUMBERS // width))


def _table(values: Values, rows: int) -> Values:
    """The first rows, each flat, and no wider than is looked at."""
    return values[:rows].reshape(rows, -1)[:, :MOST_NUMBERS]


def _compared(left: Values, right: Values) -> tuple[npt.NDArray[np.bool_], Agreement]:
    """Which rows are the same, and how far numbers are apart. Both are tables of one shape."""
    are_numbers = left.dtype.kind in "iuf" and right.dtype.kind in "iuf"
    if not are_numbers or "f" not in left.dtype.kind + right.dtype.kind:
        labels = np.asarray(left.astype(object) == right.astype(object), dtype=np.bool_)
        return _by_row(labels), Agreement()
    left, right = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(left) & np.isfinite(right)
    # Two huge numbers of opposite sign are further apart than a double can say.
    with np.errstate(over="ignore"):
        same = np.isclose(left, right, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
        apart = np.minimum(np.abs(left[finite] - right[finite]), np.finfo(np.float64).max)
        total = float(min(apart.sum(), np.finfo(np.float64).max))
    most = float(apart.max(initial=0.0))
    return _by_row(same), Agreement(0, 0, apart.size, total, most)


def _by_row(same: Values) -> npt.NDArray[np.bool_]:
    """Whether everything in a row is the same."""
    return np.asarray(same.all(axis=1), dtype=np.bool_)
