"""Runs a model through the library and through the forest backend, and counts differences."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exactness.counts import Array, Count, same_bits, ulps, wrong_leaves
from exactness.rows import Facts, kinds_for, make
from slipstream.adapters.base import Served, quiet
from slipstream.adapters.trees import TreeEnsemble
from slipstream.convert import forest_sklearn, forest_trees
from slipstream.convert.forest_emitter import Emitter
from slipstream.convert.forest_file import Program, leaf_numbers
from slipstream.convert.forest_session import ForestSession

ROWS_PER_KIND = int(os.environ.get("SLIPSTREAM_EXACTNESS_ROWS", "200"))
"""Rows of each kind for each model: `make test-exhaustive` asks for 100,000."""
_CHUNK_ROWS, _CHUNK_NUMBERS = 20_000, 4_000_000
"""At most so many rows of a kind, and so many numbers of all kinds, are compared at once."""
_CHUNKS_ALONE = 5
_OTHER_BATCHES = (1, 3, 8, 17, 64)
_BATCHES_OF_A_SIZE = 40


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, and how its library tells what the backend is held against.

    Attributes:
        library, name: For the table.
        served: The opened model.
        trees: Its ensemble, if it is one and no more; else nothing below the answers is compared.
        raw: rows -> [rows, outputs], the library's own sums in its own type.
        leaves: rows -> [rows, trees], any numbering; None if the library does not tell.
        tells_leaves: rows -> bool[rows], those that ``leaves`` takes; None: all.
        refused: Kinds of rows that the library does not take.
    """

    library: str
    name: str
    served: Served
    facts: Facts
    trees: TreeEnsemble | None = None
    raw: Callable[[Array], Array] | None = None
    leaves: Callable[[Array], Array] | None = None
    tells_leaves: Callable[[Array], Array] | None = None
    refused: tuple[str, ...] = ()


def sums_program(trees: TreeEnsemble, width: int) -> bytes:
    """A forest file that answers the sums of an ensemble."""
    program = Program()
    rows = program.input("input", "float64", width)
    program.output("sums", forest_trees.divided(Emitter(program, {}, _no_rule), rows, trees))
    return program.to_bytes()


def leaves_program(trees: TreeEnsemble, width: int) -> bytes:
    """The same trees, answering per tree the number of the leaf that a row reaches."""
    count = len(trees.roots)
    numbers = leaf_numbers(trees).astype(np.float64)
    told = replace(
        trees,
        n_outputs=count,
        tree_output=np.arange(count, dtype=np.int32),
        leaf_value=np.where(trees.is_leaf, numbers, 0.0)[:, None],
        base=np.zeros(count),
        divisor=1.0,
        float32_answers=False,
    )
    return sums_program(told, width)


def _no_rule(*_: Any) -> Any:
    raise AssertionError("sums need no rules")


def run(
    case: Case, folder: Path, rows_per_kind: int = ROWS_PER_KIND, algorithm: str = "auto"
) -> dict[str, Count]:
    """Counts by kind of row; ``algorithm`` is the backend's option.

    Raises:
        InvalidInputError: The trees do not fit the algorithm, or the processor has it not.
    """
    kinds = [kind for kind in kinds_for(case.facts) if kind not in case.refused]
    totals = {kind: Count() for kind in kinds}
    with _Opened(case, folder, {"algorithm": algorithm}) as opened:
        chunk = max(1, min(_CHUNK_ROWS, _CHUNK_NUMBERS // (case.facts.width * len(kinds))))
        for begin in range(0, rows_per_kind, chunk):
            size = min(chunk, rows_per_kind - begin)
            rows = np.concatenate([make(kind, case.facts, size, begin) for kind in kinds])
            found = opened.compare(rows)
            if begin < _CHUNKS_ALONE * chunk:
                opened.require_same_alone(np.random.default_rng(begin).permutation(rows)[:2000])
            for place, kind in enumerate(kinds):
                totals[kind] += found.count(slice(place * size, (place + 1) * size))
    return totals


@dataclass(frozen=True)
class _Differences:
    """Of all rows of a chunk: bool or ulps per element, None where nothing is compared."""

    wrong_leaves: Array | None
    leaf_rows: Array | None
    other_bits: Array | None
    score_ulps: Array | None
    wrong_labels: Array | None
    answer_ulps: Array | None

    def count(self, part: slice) -> Count:
        count = Count(rows=part.stop - part.start)
        if self.wrong_leaves is not None and self.leaf_rows is not None:
            told = self.leaf_rows[part]
            count.leaves = int(told.sum()) * self.wrong_leaves.shape[1]
            count.wrong_leaves = int(self.wrong_leaves[part][told].sum())
        if self.other_bits is not None and self.score_ulps is not None:
            count.scores = self.other_bits[part].size
            count.other_bits = int(self.other_bits[part].sum())
            count.ulps = int(self.score_ulps[part].max())
        if self.wrong_labels is not None:
            count.labels = self.wrong_labels[part].size
            count.wrong_labels = int(self.wrong_labels[part].sum())
        if self.answer_ulps is not None:
            count.answer_ulps = int(self.answer_ulps[part].max())
        return count


class _Opened:
    """The forest files of a case, loaded; a context manager."""

    def __init__(self, case: Case, folder: Path, options: dict[str, str]) -> None:
        self._case = case

        def session(name: str, data: bytes) -> ForestSession:
            path = folder / f"{name}.forest"
            path.write_bytes(data)
            return ForestSession(path, options)

        width = case.facts.width
        self._model = session("model", forest_sklearn.convert(case.served).data)
        self._sums = self._leaves = None
        if case.trees is not None and case.raw is not None:
            self._sums = session("sums", sums_program(case.trees, width))
        if case.trees is not None and case.leaves is not None:
            self._leaves = session("leaves", leaves_program(case.trees, width))

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *error: object) -> None:
        for session in (self._model, self._sums, self._leaves):
            if session is not None:
                session.__exit__(*error)

    def compare(self, rows: Array) -> _Differences:
        """The differences, of rows that went through the backend in one request."""
        wrong, told = self._wrong_leaves(rows)
        bits, distance = self._scores(rows)
        labels, answers = self._answers(rows)
        return _Differences(wrong, told, bits, distance, labels, answers)

    def require_same_alone(self, rows: Array) -> None:
        """The backend may take another way for few rows: the bits must be the same.

        Raises:
            AssertionError: They are not.
        """
        for session in filter(None, (self._model, self._sums)):
            together = session.run([rows])
            for size in _OTHER_BATCHES:
                for begin in range(0, min(len(rows), size * _BATCHES_OF_A_SIZE), size):
                    part = slice(begin, begin + size)
                    apart = session.run([np.ascontiguousarray(rows[part])])
                    for name, values in together.items():
                        assert same_bits(apart[name], values[part]).all(), (name, size)

    def _wrong_leaves(self, rows: Array) -> tuple[Array | None, Array | None]:
        if self._leaves is None or self._case.leaves is None:
            return None, None
        found = self._leaves.run([rows])["sums"]
        told = np.ones(len(rows), dtype=bool)
        if self._case.tells_leaves is not None:
            told = self._case.tells_leaves(rows)
        wrong = np.zeros(found.shape, dtype=bool)
        expected = np.asarray(self._case.leaves(rows[told])).reshape(int(told.sum()), -1)
        wrong[told] = wrong_leaves(found[told], expected)
        return wrong, told

    def _scores(self, rows: Array) -> tuple[Array | None, Array | None]:
        if self._sums is None or self._case.raw is None:
            return None, None
        found = self._sums.run([rows])["sums"]
        expected = np.asarray(self._case.raw(rows)).reshape(found.shape)
        assert found.dtype == expected.dtype
        return ~same_bits(found, expected), ulps(found, expected)

    def _answers(self, rows: Array) -> tuple[Array | None, Array | None]:
        """(wrong labels, distance of the probabilities), or (None, distance of the numbers)."""
        served = self._case.served
        given = served.rows([rows])
        found = self._model.run([rows])
        with quiet():
            expected = np.asarray(served.predict(given))
        if not served.classes:
            return None, ulps(found["predictions"], expected)
        predicted = found["predictions"]
        if predicted.shape == (len(rows),) and predicted.dtype == np.int64:
            predicted = served.classes[0][predicted]
        wrong = predicted.reshape(expected.shape) != expected
        if served.predict_proba is None:
            return wrong, None
        names = sorted(name for name in found if name.startswith("probabilities"))
        distances = [
            ulps(found[name], np.ascontiguousarray(table))
            for name, table in zip(names, served.predict_proba(given), strict=True)
        ]
        return wrong, np.concatenate(distances, axis=1)
