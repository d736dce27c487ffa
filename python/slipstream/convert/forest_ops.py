"""The steps of a forest file: their codes, and what type and width each gives.

The numbers and rules are those of docs/forest-format.md; the reader, csrc/backends/forest, holds
the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Literal

import numpy as np

from slipstream.adapters.base import Array

Kind = Literal["float64", "float32", "int64", "bool", "string"]

DTYPE_NUMBERS = {
    "bool": 0, "int32": 3, "int64": 4, "uint8": 5, "uint32": 7, "float32": 11, "float64": 12,
    "string": 13,
}  # fmt: skip
"""As in csrc/core/dtype.h."""

MAX_WIDTH = 1 << 20


class Op(IntEnum):
    """What a step does."""

    TREES = 1
    CONCAT = 2
    TAKE_COLUMNS = 3
    CAST = 4
    ADD = 8
    SUBTRACT = 9
    MULTIPLY = 10
    DIVIDE = 11
    CLIP = 12
    FUNCTION = 13
    SIGMOID = 14
    SOFTMAX = 15
    NORMALIZE = 16
    COMPLEMENT = 17
    MATMUL = 18
    SUM_COLUMNS = 19
    WEIGHTED_MEDIAN = 20
    INTERPOLATE = 21
    IS_MISSING = 24
    REPLACE_MISSING = 25
    LOOKUP_NUMBER = 26
    LOOKUP_TEXT = 27
    ONE_HOT = 28
    DIGITIZE = 29
    REFUSE = 30
    REFUSE_CELLS = 31
    ARGMAX = 32
    GREATER = 33
    LABEL_NUMBER = 34
    LABEL_TEXT = 35


class Function(IntEnum):
    """The scalar of a FUNCTION step."""

    EXP = 0
    LOG = 1
    SQRT = 2
    NEGATE = 3
    ABS = 4
    LOG1P_EXP = 5
    SIGNED_SQUARE = 6
    EXPIT = 7
    SQUARE = 8
    EXP2 = 9
    LOG1P = 10
    EXPM1 = 11
    RECIPROCAL = 12
    LOGIT = 13


@dataclass(frozen=True)
class Value:
    """A column block of the program: what an input or a step gives.

    Attributes:
        id: Its number in the file.
        kind: Type of its elements.
        width: Columns.
    """

    id: int
    kind: Kind
    width: int


class StepError(ValueError):
    """A step that the format does not allow; the text names the step and what is wrong."""


Arrays = Sequence[Array]
Scalars = Sequence[float]
Result = tuple[Kind, int]


@dataclass(frozen=True)
class _Rule:
    """What a step takes; ``result`` checks the rest and says what it gives."""

    result: Callable[[Sequence[Value], Arrays, Scalars], Result]
    kinds: tuple[Kind, ...] = ("float64",)
    inputs: tuple[int, int] = (1, 1)
    arrays: tuple[str, ...] = ()
    scalars: int = 0
    width: int | None = None


def result_of(op: Op, values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    """(kind, width) of the step's value.

    Raises:
        StepError: The step breaks the format.
    """
    rule = _RULES.get(op)
    if rule is None:
        raise StepError(f"{op.name}: use Program.trees")

    def require(condition: bool, problem: str) -> None:
        if not condition:
            raise StepError(f"{op.name}: {problem}")

    low, high = rule.inputs
    require(low <= len(values) <= high, f"takes {low} to {high} values, not {len(values)}")
    for value in values:
        require(value.kind in rule.kinds, f"takes {' or '.join(rule.kinds)}, not {value.kind}")
        require(rule.width in (None, value.width), f"takes width {rule.width}, not {value.width}")
    if op not in _BINARY:
        require(len(arrays) == len(rule.arrays), f"takes {len(rule.arrays)} arrays")
    for array, dtypes in zip(arrays, rule.arrays, strict=False):
        require(str(array.dtype) in dtypes.split("|"), f"takes {dtypes}, not {array.dtype}")
        require(array.ndim == 1, "takes arrays of one dimension")
    require(len(scalars) == rule.scalars, f"takes {rule.scalars} scalars, not {len(scalars)}")
    try:
        kind, width = rule.result(values, arrays, scalars)
    except ValueError as error:
        raise StepError(f"{op.name}: {error}") from error
    require(1 <= width <= MAX_WIDTH, f"would give {width} columns")
    return kind, width


def _same(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    return values[0].kind, values[0].width


def _one_number(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    return values[0].kind, 1


def _class_index(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    return "int64", 1


def _complement(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    return values[0].kind, 2


def _concat(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    if len({value.kind for value in values}) != 1:
        raise ValueError("its values must have one type")
    return values[0].kind, sum(value.width for value in values)


def _take_columns(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    columns = arrays[0]
    if len(columns) and not 0 <= columns.min() <= columns.max() < values[0].width:
        raise ValueError(f"a column is outside 0 … {values[0].width - 1}")
    return values[0].kind, len(columns)


def _cast(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    targets: dict[float, Kind] = {
        DTYPE_NUMBERS["float64"]: "float64",
        DTYPE_NUMBERS["float32"]: "float32",
        DTYPE_NUMBERS["int64"]: "int64",
    }
    target = targets.get(scalars[0])
    if target is None or (values[0].kind == "bool" and target != "float64"):
        raise ValueError(f"cannot cast {values[0].kind} to dtype {scalars[0]}")
    return target, values[0].width


def _elementwise(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    width = values[0].width
    if len(values) == 2:
        if arrays or values[1].width != width:
            raise ValueError("takes two values of one width and no array")
    elif len(arrays) != 1 or len(arrays[0]) not in (1, width):
        raise ValueError(f"takes an array of {width} or 1 entries")
    return values[0].kind, width


def _matmul(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    out = int(scalars[0])
    if len(arrays[0]) != values[0].width * out:
        raise ValueError(f"takes {values[0].width} x {out} weights, not {len(arrays[0])}")
    return "float64", out


def _per_column(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    if len(arrays[0]) != values[0].width:
        raise ValueError(f"takes {values[0].width} entries, not {len(arrays[0])}")
    return values[0].kind, values[0].width


def _weighted_median(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    return _per_column(values, arrays, scalars)[0], 1


def _interpolate(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    knots, heights = arrays
    if len(knots) != len(heights) or not len(knots) or not (np.diff(knots) >= 0).all():
        raise ValueError("takes ascending knots and as many values")
    return "float64", 1


def _lookup_number(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    keys, results = arrays
    numbers = keys[:-1] if len(keys) and np.isnan(keys[-1]) else keys
    if len(keys) != len(results) or not (np.diff(numbers) > 0).all() or np.isnan(numbers).any():
        raise ValueError("takes ascending keys (a NaN last) and as many results")
    return "float64", 1


def _lookup_text(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    keys = split_strings(arrays[0], arrays[1])
    if len(keys) != len(arrays[2]) or any(a >= b for a, b in pairwise(keys)):
        raise ValueError("takes ascending keys (by their UTF-8 bytes) and as many results")
    return "float64", 1


def _one_hot(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    return "float64", int(scalars[0])


def _digitize(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    if not (np.diff(arrays[0]) >= 0).all() or scalars[0] not in (0, 1):
        raise ValueError("takes ascending edges and a side of 0 or 1")
    return "float64", 1


def _label_number(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    return ("int64" if arrays[0].dtype == np.int64 else "float64"), 1


def _label_text(values: Sequence[Value], arrays: Arrays, scalars: Scalars) -> Result:
    return "string", 1


def join_strings(texts: Sequence[str]) -> tuple[Array, Array]:
    """(i64 ends, u8 bytes): how the format stores strings."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return ends, np.frombuffer(b"".join(encoded), dtype=np.uint8)


def split_strings(ends: Array, data: Array) -> list[bytes]:
    """The inverse of `join_strings`, as UTF-8."""
    joined, marks = data.tobytes(), [0, *ends.tolist()]
    if marks[-1] != len(joined) or any(a > b for a, b in pairwise(marks)):
        raise ValueError("the ends of its strings are wrong")
    return [joined[a:b] for a, b in pairwise(marks)]


_BINARY = (Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.DIVIDE)
_FLOATS: tuple[Kind, ...] = ("float64", "float32")
_NUMBERS: tuple[Kind, ...] = ("float64", "float32", "int64", "bool")
_ANY: tuple[Kind, ...] = (*_NUMBERS, "string")
_MANY = (1, 1 << 16)
_STRINGS = ("int64", "uint8")

_RULES = {
    Op.CONCAT: _Rule(_concat, kinds=_ANY, inputs=_MANY),
    Op.TAKE_COLUMNS: _Rule(_take_columns, kinds=_ANY, arrays=("int32",)),
    Op.CAST: _Rule(_cast, kinds=_NUMBERS, scalars=1),
    **{op: _Rule(_elementwise, inputs=(1, 2), arrays=("float64",)) for op in _BINARY},
    Op.CLIP: _Rule(_same, scalars=2),
    Op.FUNCTION: _Rule(_same, kinds=_FLOATS, scalars=1),
    Op.SIGMOID: _Rule(_same, kinds=_FLOATS, scalars=2),
    Op.SOFTMAX: _Rule(_same, kinds=_FLOATS, scalars=1),
    Op.NORMALIZE: _Rule(_same, kinds=_FLOATS, scalars=1),
    Op.COMPLEMENT: _Rule(_complement, kinds=_FLOATS, width=1),
    Op.MATMUL: _Rule(_matmul, arrays=("float64",), scalars=1),
    Op.SUM_COLUMNS: _Rule(_one_number),
    Op.WEIGHTED_MEDIAN: _Rule(_weighted_median, arrays=("float64",)),
    Op.INTERPOLATE: _Rule(_interpolate, arrays=("float64", "float64"), width=1),
    Op.IS_MISSING: _Rule(_same, scalars=1),
    Op.REPLACE_MISSING: _Rule(_per_column, arrays=("float64",), scalars=1),
    Op.LOOKUP_NUMBER: _Rule(_lookup_number, arrays=("float64", "float64"), scalars=1, width=1),
    Op.LOOKUP_TEXT: _Rule(
        _lookup_text, kinds=("string",), arrays=(*_STRINGS, "float64"), scalars=2, width=1
    ),
    Op.ONE_HOT: _Rule(_one_hot, scalars=2, width=1),
    Op.DIGITIZE: _Rule(_digitize, arrays=("float64",), scalars=1, width=1),
    Op.REFUSE: _Rule(_same, arrays=("uint8",), scalars=1, width=1),
    Op.REFUSE_CELLS: _Rule(_one_number, arrays=("float64", "uint8", *_STRINGS)),
    Op.ARGMAX: _Rule(_class_index, kinds=_FLOATS),
    Op.GREATER: _Rule(_class_index, kinds=_FLOATS, scalars=2, width=1),
    Op.LABEL_NUMBER: _Rule(_label_number, kinds=("int64",), arrays=("float64|int64",), width=1),
    Op.LABEL_TEXT: _Rule(_label_text, kinds=("int64",), arrays=_STRINGS, width=1),
}  # type: dict[Op, _Rule]
