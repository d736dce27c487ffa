"""Writes forest files: programs of columns and trees, as docs/forest-format.md lays them out.

    program = Program()
    rows = program.input("input", "float64", 30)
    sums = program.trees(rows, ensemble)
    program.output("predictions", sums, flat=True)
    path.write_bytes(program.to_bytes())

Each step's types and widths are checked as it is added, so that a mistake of an emitter fails where
it is made and not where the file is read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from slipstream.adapters.base import Array
from slipstream.adapters.trees import CategoryRule, Comparison, Missing, TreeEnsemble
from slipstream.convert.forest_ops import (
    DTYPE_NUMBERS,
    MAX_WIDTH,
    Kind,
    Op,
    StepError,
    Value,
    join_strings,
    result_of,
)

__all__ = ["Kind", "Op", "Program", "StepError", "Value"]

MAGIC = b"SLIPFRST"
VERSION = 1
_HEADER = struct.Struct("<8sIIQQQQIIII")
_CHECKED_FROM = 16
_ARRAY_ALIGNMENT = 64
_MAX_STEPS = 1 << 16
_MOST = {"input": 4096, "output": 64}

COMPARISONS = {Comparison.LE_F64: 0, Comparison.LE_F64_OF_F32: 1, Comparison.LT_F32: 2}
RULES = {
    Missing.DIRECTED: 0,
    Missing.AS_ZERO: 1,
    Missing.ZERO_TOO: 2,
    CategoryRule.TRUNCATE: 4,
    CategoryRule.SIGN: 5,
    CategoryRule.KNOWN: 6,
}


class Program:
    """A forest file in the making. Inputs first, then steps, then outputs, in any number."""

    def __init__(self) -> None:
        self._inputs: list[bytes] = []
        self._steps: list[bytes] = []
        self._outputs: list[bytes] = []
        self._arrays: list[Array] = []
        self._names: set[tuple[str, str]] = set()

    def input(self, name: str, kind: Kind, width: int) -> Value:
        """A tensor [rows, width] that a request brings."""
        if self._steps:
            raise StepError(f"input {name!r}: inputs come before steps")
        if kind not in get_args(Kind) or not 1 <= width <= MAX_WIDTH:
            raise StepError(f"input {name!r}: no {kind} of width {width}")
        text = self._name("input", name)
        head = struct.pack("<IIII", DTYPE_NUMBERS[kind], width, len(text), 0)
        self._inputs.append(_padded(head + text))
        return Value(len(self._inputs) - 1, kind, width)

    def step(
        self,
        op: Op,
        *values: Value,
        arrays: Sequence[Array | Sequence[str]] = (),
        scalars: Sequence[float] = (),
    ) -> Value:
        """Append a step; returns what it gives.

        Args:
            op: Any but TREES.
            values: What it reads.
            arrays: Its arrays in the order of the page, in their exact types; a list of strings
                stands for the two arrays of the page.
            scalars: Its scalars.

        Raises:
            StepError: The format does not allow the step.
        """
        flat: list[Array] = []
        for array in arrays:
            if isinstance(array, np.ndarray):
                flat.append(array)
            else:
                flat.extend(join_strings(array))
        kind, width = result_of(op, values, flat, scalars)
        return self._append(op, values, flat, scalars, kind, width)

    def trees(self, x: Value, trees: TreeEnsemble) -> Value:
        """The sums of an ensemble [rows, n_outputs]: float32 if it sums so, else float64.

        ``divisor``, ``link`` and ``decision`` of the ensemble are left to further steps.
        """
        if x.kind not in ("float64", "float32") or x.width != trees.n_features:
            raise StepError(f"TREES: takes {trees.n_features} floats, not {x.width} of {x.kind}")
        rules = {trees.missing_of(feature) for feature in range(trees.n_features)}
        flushes = trees.zero_flush or Missing.ZERO_TOO in rules
        if flushes and trees.comparison is not Comparison.LE_F64:
            raise StepError("TREES: zeros can be missing or flushed in float64 only")
        arrays = tree_arrays(trees.check())
        scalars = (
            trees.n_features,
            trees.n_outputs,
            trees.leaf_value.shape[1],
            COMPARISONS[trees.comparison],
            trees.zero_flush,
            trees.float32_answers,
        )
        kind: Kind = "float32" if trees.float32_answers else "float64"
        return self._append(Op.TREES, (x,), arrays, scalars, kind, trees.n_outputs)

    def output(self, name: str, value: Value, flat: bool = False) -> None:
        """Answer ``value`` as ``name``: [rows, width], or [rows] if ``flat``."""
        if flat and value.width != 1:
            raise StepError(f"output {name!r}: a flat output has width 1, not {value.width}")
        if value.kind == "bool":
            raise StepError(f"output {name!r}: a bool cannot be answered; cast it")
        text = self._name("output", name)
        self._outputs.append(_padded(struct.pack("<IIII", value.id, flat, len(text), 0) + text))

    def to_bytes(self) -> bytes:
        """The file."""
        if not self._inputs or not self._outputs:
            raise StepError("a program has inputs and outputs")
        program = b"".join((*self._inputs, *self._steps, *self._outputs))
        table_at = _HEADER.size + len(program)
        at = _aligned(table_at + 24 * len(self._arrays))
        table = bytearray()
        for array in self._arrays:
            table += struct.pack("<IIQQ", DTYPE_NUMBERS[str(array.dtype)], 0, at, array.size)
            at = _aligned(at + array.nbytes)
        body = bytearray(at)
        body[_HEADER.size : table_at] = program
        body[table_at : table_at + len(table)] = table
        for number, array in enumerate(self._arrays):
            start = struct.unpack_from("<Q", table, 24 * number + 8)[0]
            body[start : start + array.nbytes] = array.tobytes()
        counts = (len(self._arrays), len(self._steps), len(self._inputs), len(self._outputs))
        places = (len(body), _HEADER.size, len(program), table_at)
        _HEADER.pack_into(body, 0, MAGIC, VERSION, 0, *places, *counts)
        struct.pack_into("<I", body, 12, zlib.crc32(memoryview(body)[_CHECKED_FROM:]))
        return bytes(body)

    def _append(
        self,
        op: Op,
        values: Sequence[Value],
        arrays: Sequence[Array],
        scalars: Sequence[float],
        kind: Kind,
        width: int,
    ) -> Value:
        if len(self._steps) >= _MAX_STEPS:
            raise StepError(f"a program has at most {_MAX_STEPS} steps")
        known = len(self._inputs) + len(self._steps)
        if any(value.id >= known for value in values):
            raise StepError(f"{op.name}: reads a value of another program")
        numbers = [value.id for value in values]
        numbers += range(len(self._arrays), len(self._arrays) + len(arrays))
        self._arrays += [_little_endian(array) for array in arrays]
        head = struct.pack("<IIII", op, len(values), len(arrays), len(scalars))
        links = _padded(head + struct.pack(f"<{len(numbers)}I", *numbers))
        self._steps.append(links + struct.pack(f"<{len(scalars)}d", *map(float, scalars)))
        return Value(known, kind, width)

    def _name(self, what: str, name: str) -> bytes:
        if not name or (what, name) in self._names:
            raise StepError(f"{what} {name!r}: names are not empty and differ")
        self._names.add((what, name))
        if sum(kind == what for kind, _ in self._names) > _MOST[what]:
            raise StepError(f"a program has at most {_MOST[what]} {what}s")
        return name.encode()


def tree_arrays(trees: TreeEnsemble) -> list[Array]:
    """The arrays of a `trees` step, in the order of the page; leaves keep the order of nodes."""
    leaf = trees.is_leaf
    inner, leaves = np.flatnonzero(~leaf), np.flatnonzero(leaf)
    link = np.empty(len(leaf), dtype=np.int32)
    link[inner] = np.arange(len(inner))
    link[leaves] = ~np.arange(len(leaves))
    sets = trees.sets_of_nodes[inner]
    threshold = np.where(sets >= 0, sets, trees.threshold[inner])
    return [
        link[trees.roots],
        trees.tree_output.astype(np.int32),
        trees.feature[inner].astype(np.int32),
        threshold.astype(np.float64),
        link[trees.left[inner]],
        link[trees.right[inner]],
        trees.missing_left[inner].astype(np.uint8),
        np.ascontiguousarray(trees.leaf_value[leaves], dtype=np.float64).reshape(-1),
        _rules(trees),
        trees.base.astype(np.float64),
        *_category_arrays(trees),
    ]


def leaf_numbers(trees: TreeEnsemble) -> Array:
    """i32[nodes]: the number in the file of each leaf of the ensemble; -1 at inner nodes."""
    leaf = trees.is_leaf
    return np.where(leaf, np.cumsum(leaf) - 1, -1).astype(np.int32)


def _rules(trees: TreeEnsemble) -> Array:
    rules = np.zeros(trees.n_features, dtype=np.uint8)
    for feature in range(trees.n_features):
        category = trees.categories.get(feature)
        rules[feature] = RULES[category.rule if category else trees.missing_of(feature)]
    return rules


def _category_arrays(trees: TreeEnsemble) -> list[Array]:
    empty = np.zeros(0, dtype=np.uint32)
    if not trees.categories:
        return [empty] * 5
    set_start, set_bits = _packed(trees.category_sets)
    counts = np.zeros(trees.n_features, dtype=np.uint32)
    known: list[Any] = [()] * trees.n_features
    for feature, category in trees.categories.items():
        counts[feature] = category.count
        if category.rule is CategoryRule.KNOWN:
            every = np.ones(category.count, dtype=np.bool_)
            known[feature] = every if category.known is None else category.known
    known_start, known_bits = _packed(known)
    return [set_start, set_bits, counts, known_start, known_bits]


def _packed(sets: Sequence[Any]) -> tuple[Array, Array]:
    """(u32 starts of len + 1, u32 words) of sets of bits; each set begins a word of its own."""
    words = []
    for members in sets:
        bits = np.zeros(-(-len(members) // 32) * 32, dtype=np.uint8)
        bits[: len(members)] = members
        words.append(np.packbits(bits, bitorder="little").view("<u4"))
    starts = np.cumsum([0, *map(len, words)])
    if starts[-1] >= 2**32:
        raise StepError("TREES: its category sets hold more than 2**32 words")
    joined = np.concatenate([np.zeros(0, dtype=np.uint32), *words])
    return starts.astype(np.uint32), joined.astype(np.uint32)


def _little_endian(array: Array) -> Array:
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)


def _aligned(offset: int) -> int:
    return -(-offset // _ARRAY_ALIGNMENT) * _ARRAY_ALIGNMENT


def _padded(record: bytes) -> bytes:
    return record + b"\0" * (-len(record) % 8)
