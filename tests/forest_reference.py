"""An independent reader of forest files: docs/forest-format.md in NumPy, plain and slow.

It shares no code with the writer, so that writer, reader and backend can be held against it.
`parse` refuses what the page does not allow as far as that needs no knowledge of the steps.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import logit

Array = np.ndarray[Any, Any]

DTYPES = {0: "bool", 3: "<i4", 4: "<i8", 5: "u1", 7: "<u4", 11: "<f4", 12: "<f8", 13: "object"}
_FLUSH = float(np.float32(1e-35))
_MISSING_TEXT = "\xff"


@dataclass(frozen=True)
class Input:
    name: str
    dtype: str
    width: int


@dataclass(frozen=True)
class Step:
    op: int
    values: tuple[int, ...]
    arrays: tuple[Array, ...]
    scalars: tuple[float, ...]


@dataclass(frozen=True)
class Output:
    name: str
    value: int
    flat: bool


@dataclass(frozen=True)
class Parsed:
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]


def parse(data: bytes) -> Parsed:
    """Read a file. Raises ValueError where it is damaged."""
    magic, version, crc, size = struct.unpack_from("<8sIIQ", data, 0)
    begin, length, table, n_arrays, n_steps, n_inputs, n_outputs = struct.unpack_from(
        "<QQQIIII", data, 24
    )
    if magic != b"SLIPFRST" or version != 1 or size != len(data):
        raise ValueError("no forest file of version 1, or cut off")
    if zlib.crc32(data[16:]) != crc:
        raise ValueError("checksum")
    if begin % 8 or table % 8 or begin + length > size or table + 24 * n_arrays > size:
        raise ValueError("program or array table out of place")
    arrays = [_array(data, table + 24 * number) for number in range(n_arrays)]
    cursor = _Cursor(data[begin : begin + length])
    inputs = []
    for _ in range(n_inputs):
        dtype, width, size, zero = cursor.take("<IIII")
        name = cursor.text(size, zero)
        inputs.append(Input(name, DTYPES[dtype], width))
    steps = []
    for number in range(n_steps):
        op, k_values, k_arrays, k_scalars = cursor.take("<IIII")
        values = cursor.take(f"<{k_values}I")
        places = cursor.take(f"<{k_arrays}I")
        cursor.align()
        scalars = cursor.take(f"<{k_scalars}d")
        if any(value >= n_inputs + number for value in values):
            raise ValueError(f"step {number} reads a later value")
        steps.append(Step(op, values, tuple(arrays[place] for place in places), scalars))
    outputs = []
    for _ in range(n_outputs):
        value, flat, size, zero = cursor.take("<IIII")
        outputs.append(Output(cursor.text(size, zero), value, bool(flat)))
    if cursor.at != length:
        raise ValueError("bytes are left over in the program")
    return Parsed(tuple(inputs), tuple(steps), tuple(outputs))


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(layout, self._data, self.at)
        self.at += struct.calcsize(layout)
        return found

    def text(self, size: int, zero: int) -> str:
        if zero:
            raise ValueError("a field that must be 0 is not")
        found = self._data[self.at : self.at + size].decode()
        self.at += size
        self.align()
        return found

    def align(self) -> None:
        end = -(-self.at // 8) * 8
        if any(self._data[self.at : end]):
            raise ValueError("padding is not 0")
        self.at = end


def _array(data: bytes, at: int) -> Array:
    dtype, zero, offset, count = struct.unpack_from("<IIQQ", data, at)
    if zero or offset % 64:
        raise ValueError("an array is out of place")
    return np.frombuffer(data, dtype=DTYPES[dtype], count=count, offset=offset)


def evaluate(parsed: Parsed, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs by name; each input is [rows, width], strings as object arrays."""
    values: list[Array] = []
    for one in parsed.inputs:
        given = np.asarray(inputs[one.name])
        assert given.ndim == 2 and given.shape[1] == one.width
        values.append(given.astype(one.dtype))
    with np.errstate(all="ignore"):
        for step in parsed.steps:
            values.append(_STEPS[step.op]([values[at] for at in step.values], step))
    return {
        one.name: values[one.value][:, 0] if one.flat else values[one.value]
        for one in parsed.outputs
    }


def _libm(name: str, single: bool) -> Callable[[Array], Array]:
    """The C library's own function, elementwise: NumPy's vectorised ones round otherwise."""
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    function = getattr(library, name + ("f" if single else ""))
    kind = ctypes.c_float if single else ctypes.c_double
    function.restype, function.argtypes = kind, [kind]

    def apply(x: Array) -> Array:
        flat = [function(value) for value in x.reshape(-1).tolist()]
        return np.array(flat, dtype=np.float32 if single else np.float64).reshape(x.shape)

    return apply


def _c(name: str, x: Array) -> Array:
    return _libm(name, x.dtype == np.float32)(x)


def _function(x: Array, code: int) -> Array:
    one = x.dtype.type(1)
    plain: dict[int, Callable[[], Array]] = {
        0: lambda: _c("exp", x),
        1: lambda: _c("log", x),
        2: lambda: np.sqrt(x),
        3: lambda: -x,
        4: lambda: np.abs(x),
        5: lambda: _c("log1p", _c("exp", x)),
        6: lambda: np.sign(x) * x * x,
        7: lambda: one / (one + _c("exp", -x)),
        8: lambda: x * x,
        9: lambda: _c("exp2", x),
        10: lambda: _c("log1p", x),
        11: lambda: _c("expm1", x),
        12: lambda: one / x,
        13: lambda: logit(x),
    }
    return plain[code]()


def _sigmoid(x: Array, scale: float, variant: int) -> Array:
    if variant == 0:
        return 1 / (1 + _c("exp", -x.dtype.type(scale) * x))
    low = np.minimum(-x, np.float32(88.7))
    return np.float32(1) / (_c("exp", low) + np.float32(1) + np.float32(1e-16))


def _softmax(x: Array, variant: int) -> Array:
    powers = _c("exp", x - x.max(axis=1, keepdims=True))
    total = np.zeros((len(x), 1))
    for column in range(x.shape[1]):
        total[:, 0] += powers[:, column]
    return powers / total.astype(powers.dtype)


def _refuse(x: Sequence[Array], step: Step) -> Array:
    if _same_number(x[0], step.scalars[0]).any():
        raise ValueError(step.arrays[0].tobytes().decode())
    return x[0]


def _refuse_cells(x: Sequence[Array], step: Step) -> Array:
    limits, flags = step.arrays[:2]
    if (np.abs(x[0]) > limits).any() or (np.isnan(x[0]) & (flags != 0)).any():
        raise ValueError("a cell that the model does not take")
    return np.zeros((len(x[0]), 1))


def _normalize(x: Array, variant: int) -> Array:
    total = x.sum(axis=1, keepdims=True)
    divided = x / np.where(total == 0, 1, total)
    empty = np.full_like(x, 1 / x.shape[1]) if variant == 0 else x
    return np.where(total == 0, empty, divided)


def _arithmetic(apply: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def run(x: Sequence[Array], step: Step) -> Array:
        return apply(x[0], x[1] if len(x) == 2 else step.arrays[0][None, :])

    return run


def _median(x: Array, weights: Array) -> Array:
    order = np.argsort(x, axis=1, kind="stable")
    reached = np.cumsum(weights[order], axis=1)
    first = (reached >= 0.5 * reached[:, -1:]).argmax(axis=1)
    rows = np.arange(len(x))
    return x[rows, order[rows, first]][:, None]


def _same_number(x: Array, number: float) -> Array:
    return np.isnan(x) if np.isnan(number) else x == number


def _lookup_number(x: Sequence[Array], step: Step) -> Array:
    keys, results = step.arrays
    found = np.full(x[0].shape, step.scalars[0])
    for key, result in zip(keys.tolist(), results.tolist(), strict=True):
        found[_same_number(x[0], key)] = result
    return found


def _strings(ends: Array, data: Array) -> list[str]:
    text, marks = data.tobytes(), [0, *ends.tolist()]
    return [text[a:b].decode() for a, b in pairwise(marks)]


def _lookup_text(x: Sequence[Array], step: Step) -> Array:
    ends, data, results = step.arrays
    default, missing = step.scalars
    table = dict(zip(_strings(ends, data), results.tolist(), strict=True))
    table[_MISSING_TEXT] = missing
    return np.array([[table.get(one, default)] for one in x[0][:, 0]])


def _one_hot(x: Sequence[Array], step: Step) -> Array:
    out, first = step.scalars
    return (x[0] == first + np.arange(int(out))).astype(np.float64)


def _digitize(x: Sequence[Array], step: Step) -> Array:
    edges, (side,) = step.arrays[0], step.scalars
    hit = edges <= x[0] if side == 1 else edges < x[0]
    return hit.sum(axis=1, keepdims=True).astype(np.float64)


def _label_text(x: Sequence[Array], step: Step) -> Array:
    labels = np.array(_strings(*step.arrays), dtype=object)
    return labels[x[0]]


def _greater(x: Sequence[Array], step: Step) -> Array:
    limit, or_equal = step.scalars
    hit = x[0] >= limit if or_equal else x[0] > limit
    return hit.astype(np.int64)


@dataclass(frozen=True)
class Forest:
    """The arrays of a `trees` step by the names of the page."""

    roots: Array
    tree_output: Array
    feature: Array
    threshold: Array
    left: Array
    right: Array
    missing_left: Array
    leaf_value: Array
    rule: Array
    base: Array
    set_start: Array
    set_bits: Array
    category_count: Array
    known_start: Array
    known_bits: Array


def _bit(words: Array, starts: Array, number: int, code: int) -> bool:
    return bool(words[int(starts[number]) + code // 32] >> np.uint32(code % 32) & np.uint32(1))


def _code(forest: Forest, feature: int, value: float) -> int:
    """The code of a category (rules 4, 5, 6)."""
    rule, count = int(forest.rule[feature]), int(forest.category_count[feature])
    if np.isnan(value):
        return count + 1
    if rule != 4 and value < 0:
        return count if rule == 5 else count + 1
    inside = -1 < value < count
    if rule == 6 and not (
        inside and _bit(forest.known_bits, forest.known_start, feature, int(value))
    ):
        return count + 1
    return int(value) if inside else count


def _goes_left(forest: Forest, node: int, value: float, comparison: int, flush: bool) -> bool:
    feature = int(forest.feature[node])
    rule, threshold = int(forest.rule[feature]), float(forest.threshold[node])
    if comparison != 0:
        value = float(np.float32(value))
    if flush and abs(value) <= _FLUSH:
        value = 0.0
    if rule >= 4:
        code = _code(forest, feature, value)
        return _bit(forest.set_bits, forest.set_start, int(threshold), code)
    if rule == 1 and np.isnan(value):
        value = 0.0
    if np.isnan(value) or (rule == 2 and abs(value) <= _FLUSH):
        return bool(forest.missing_left[node])
    return value < threshold if comparison == 2 else value <= threshold


def _trees(x: Sequence[Array], step: Step) -> Array:
    forest = Forest(*step.arrays)
    features, outputs, leaf_width, comparison = (int(one) for one in step.scalars[:4])
    flush, single = bool(step.scalars[4]), bool(step.scalars[5])
    dtype = np.float32 if single else np.float64
    leaves = forest.leaf_value.reshape(-1, leaf_width).astype(dtype)
    assert x[0].shape[1] == features and len(forest.base) == outputs
    sums = np.tile(forest.base.astype(dtype), (len(x[0]), 1))
    for row, total in zip(x[0], sums, strict=True):
        for root, output in zip(forest.roots, forest.tree_output, strict=True):
            link = int(root)
            while link >= 0:
                value = float(row[forest.feature[link]])
                left = _goes_left(forest, link, value, comparison, flush)
                link = int(forest.left[link] if left else forest.right[link])
            if output < 0:
                total += leaves[~link]
            else:
                total[output] += leaves[~link, 0]
    return sums


_STEPS: dict[int, Callable[[Sequence[Array], Step], Array]] = {
    1: _trees,
    2: lambda x, step: np.concatenate(x, axis=1),
    3: lambda x, step: x[0][:, step.arrays[0]],
    4: lambda x, step: x[0].astype(DTYPES[int(step.scalars[0])]),
    8: _arithmetic(np.add),
    9: _arithmetic(np.subtract),
    10: _arithmetic(np.multiply),
    11: _arithmetic(np.divide),
    12: lambda x, step: np.clip(x[0], *step.scalars),
    13: lambda x, step: _function(x[0], int(step.scalars[0])),
    14: lambda x, step: _sigmoid(x[0], step.scalars[0], int(step.scalars[1])),
    15: lambda x, step: _softmax(x[0], int(step.scalars[0])),
    16: lambda x, step: _normalize(x[0], int(step.scalars[0])),
    17: lambda x, step: np.concatenate([x[0].dtype.type(1) - x[0], x[0]], axis=1),
    18: lambda x, step: x[0] @ step.arrays[0].reshape(x[0].shape[1], -1),
    19: lambda x, step: np.cumsum(x[0], axis=1)[:, -1:],
    20: lambda x, step: _median(x[0], step.arrays[0]),
    21: lambda x, step: np.interp(x[0], *step.arrays),
    24: lambda x, step: _same_number(x[0], step.scalars[0]).astype(np.float64),
    25: lambda x, step: np.where(_same_number(x[0], step.scalars[0]), step.arrays[0], x[0]),
    26: _lookup_number,
    27: _lookup_text,
    28: _one_hot,
    29: _digitize,
    30: _refuse,
    31: _refuse_cells,
    32: lambda x, step: x[0].argmax(axis=1)[:, None].astype(np.int64),
    33: _greater,
    34: lambda x, step: step.arrays[0][x[0]],
    35: _label_text,
}
