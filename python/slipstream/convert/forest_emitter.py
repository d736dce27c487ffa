"""What rules for scikit-learn's estimators write into: a program, its columns, their answers.

`Emitter` holds the program and the tables of rules; a rule is a plain function from columns and a
fitted estimator to columns (transformers) or to an `Answer` (predictors), and recurses through the
emitter. The rules are in the modules ``forest_*``; `slipstream.convert.forest_sklearn` has the
tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from slipstream.adapters.base import Array
from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert.forest_file import Kind, Op, Program, Value
from slipstream.convert.forest_ops import DTYPE_NUMBERS, Function

Fills = tuple[tuple[str | None, str], ...]


@dataclass(frozen=True)
class Cell:
    """One column of a table: where the program has it, and what scikit-learn would hold there.

    Attributes:
        value, column: The program's value, and which of its columns.
        single: Whether scikit-learn holds it in float32.
        fills: Of a text column: strings (None: a missing one) that an imputer replaces, each with
            what. Done by whoever looks the strings up.
        name: Of the model's own column that it is, for whoever sends it; "" of one that was made.
    """

    value: Value
    column: int
    single: bool = False
    fills: Fills = ()
    name: str = ""

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.value.kind == "string"


@dataclass(frozen=True)
class Columns:
    """A table between two estimators.

    Attributes:
        cells: Its columns in order.
        sparse: Whether scikit-learn holds it as a sparse matrix (scalers then multiply by a
            reciprocal, and XGBoost takes its zeros as missing).
    """

    cells: tuple[Cell, ...]
    sparse: bool = False

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def single(self) -> bool:
        """Whether scikit-learn would compute on it in float32."""
        return bool(self.cells) and all(cell.single for cell in self.cells)

    def take(self, places: Iterable[int]) -> Columns:
        """These columns, in this order."""
        return replace(self, cells=tuple(self.cells[place] for place in places))

    def joined(self, others: Iterable[Columns], *, sparse: bool) -> Columns:
        """With the columns of others behind its own."""
        cells = [*self.cells, *(cell for other in others for cell in other.cells)]
        return Columns(tuple(cells), sparse)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a predictor gives; single values have width 1.

    Attributes:
        classes: Class labels of each target; empty for a regressor or an outlier detector.
        labels: For each target, i64 positions in its classes.
        probabilities: For each target, [classes]; empty if it has none.
        decision: What ``decision_function`` gives: [1] for two classes, else [classes].
        values: A regressor's numbers or an outlier detector's labels, [targets].
        flat: Whether ``values`` of width 1 are answered as [rows] rather than [rows, 1].
    """

    classes: tuple[Array, ...] = ()
    labels: tuple[Value, ...] = ()
    probabilities: tuple[Value, ...] = ()
    decision: Value | None = None
    values: Value | None = None
    flat: bool = True


Transformer = Callable[["Emitter", Columns, Any], Columns]
Predictor = Callable[["Emitter", Columns, Any], Answer]


class Emitter:
    """One program in the making, and the rules by the name of scikit-learn's class."""

    def __init__(
        self,
        program: Program,
        transformers: Mapping[str, Transformer],
        predict: Predictor,
    ) -> None:
        self.program = program
        self._transformers = transformers
        self._predict = predict
        self._made: dict[Any, Value] = {}
        self.summed_alike = True
        """Whether every sum is made in scikit-learn's order; a matrix product is not."""

    def transform(self, columns: Columns, step: Any) -> Columns:
        """Add a fitted transformer.

        Raises:
            UnconvertibleError: Some part of it has no rule.
        """
        if step is None or (isinstance(step, str) and step == "passthrough"):
            return columns
        name = type(step).__name__
        rule = self._transformers.get(name)
        if rule is None and hasattr(step, "get_support"):
            rule = self._transformers["SelectorMixin"]
        if rule is None or not type(step).__module__.startswith("sklearn."):
            raise UnconvertibleError(f"{name} has no rule of our own")
        return rule(self, columns, step)

    def predict(self, columns: Columns, estimator: Any) -> Answer:
        """Add a fitted predictor or pipeline.

        Raises:
            UnconvertibleError: Some part of it has no rule.
        """
        return self._predict(self, columns, estimator)

    def columns_of(self, value: Value, *, sparse: bool = False, single: bool = False) -> Columns:
        """Every column of ``value``."""
        cells = tuple(Cell(value, place, single) for place in range(value.width))
        return Columns(cells, sparse)

    def numbers(self, columns: Columns) -> Value:
        """f64[rows, columns] of a table without text."""
        if not columns.cells:
            raise UnconvertibleError("one of its steps is given no columns")
        if any(cell.is_text for cell in columns.cells):
            raise UnconvertibleError("a column of text reaches a step that computes with numbers")
        runs: list[tuple[Value, list[int]]] = []
        for cell in columns.cells:
            if not runs or runs[-1][0].id != cell.value.id:
                runs.append((cell.value, []))
            runs[-1][1].append(cell.column)
        return self.concat([self.take(value, places) for value, places in runs])

    def column(self, cell: Cell) -> Value:
        """That column alone, of whatever type."""
        return self.take(cell.value, [cell.column])

    def take(self, value: Value, places: Sequence[int]) -> Value:
        """These columns of ``value``; itself if they are all of them in order."""
        if len(places) == value.width and all(at == place for at, place in enumerate(places)):
            return value
        return self.once(Op.TAKE_COLUMNS, value, arrays=[np.array(places, dtype=np.int32)])

    def concat(self, values: Sequence[Value]) -> Value:
        """Side by side, all of one type."""
        return values[0] if len(values) == 1 else self.once(Op.CONCAT, *values)

    def once(
        self,
        op: Op,
        *values: Value,
        arrays: Sequence[Any] = (),
        scalars: Sequence[float] = (),
    ) -> Value:
        """A step; the earlier one if the same has been added before."""
        key = (
            op,
            tuple(value.id for value in values),
            tuple(_key(array) for array in arrays),
            tuple(scalars),
        )
        if key not in self._made:
            self._made[key] = self.program.step(op, *values, arrays=arrays, scalars=scalars)
        return self._made[key]

    def per_column(self, op: Op, value: Value, numbers: Any) -> Value:
        """Add, subtract, multiply or divide by a number a column, or by one for all."""
        array = np.atleast_1d(np.asarray(numbers, dtype=np.float64))
        return self.once(op, value, arrays=[array])

    def function(self, function: Function, value: Value) -> Value:
        """An elementwise function."""
        return self.once(Op.FUNCTION, value, scalars=[function])

    def cast(self, value: Value, kind: Kind) -> Value:
        """In another type; itself if it has that already."""
        if value.kind == kind:
            return value
        return self.once(Op.CAST, value, scalars=[DTYPE_NUMBERS[kind]])

    def matmul(self, value: Value, weights: Any) -> Value:
        """``value @ weights``, f64[columns, outputs]."""
        self.summed_alike = False
        table = np.ascontiguousarray(weights, dtype=np.float64)
        return self.once(Op.MATMUL, value, arrays=[table.reshape(-1)], scalars=[table.shape[1]])

    def refuse_cells(self, columns: Columns, limits: Any, missing: Any) -> None:
        """Refuse rows with a number above a column's limit, or missing where that is not taken.

        Args:
            columns: Of numbers.
            limits: f64[columns], of absolute values; infinity: none.
            missing: bool[columns], whether NaN is refused.
        """
        names = [
            f"column {cell.name}" if cell.name else f"number {place + 1} of an inner table"
            for place, cell in enumerate(columns.cells)
        ]
        flags = np.asarray(missing, dtype=np.uint8)
        arrays = [np.asarray(limits, dtype=np.float64), flags, tuple(names)]
        self.once(Op.REFUSE_CELLS, self.numbers(columns), arrays=arrays)

    def constant(self, columns: Columns, numbers: Any) -> Value:
        """The same numbers in every row; ``columns`` is any table there is."""
        values = np.atleast_1d(np.asarray(numbers, dtype=np.float64))
        cell = columns.cells[0]
        one = np.ones(1)
        if cell.is_text:
            ones = self.once(
                Op.LOOKUP_TEXT, self.column(cell), arrays=[("",), one], scalars=[1.0, 1.0]
            )
        else:
            ones = self.once(
                Op.LOOKUP_NUMBER, self.column(cell), arrays=[np.zeros(1), one], scalars=[1.0]
            )
        return self.per_column(Op.MULTIPLY, self.take(ones, [0] * len(values)), values)


def _key(array: Any) -> Any:
    if isinstance(array, np.ndarray):
        return (str(array.dtype), array.shape, array.tobytes())
    return tuple(array)
