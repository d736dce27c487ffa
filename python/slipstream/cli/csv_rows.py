"""Rows of a CSV file as a model takes them: typed by its columns, a chunk at a time.

An empty cell is a missing value. A model with named columns needs them in the first line, in any
order, among others that are ignored. For one without names the first line may hold names (it does
when no cell of it is what the model takes); columns count from the left.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

import numpy as np

from slipstream.engine.signature import Signature, Spec
from slipstream.errors import InvalidInputError

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_WORDS = {"true": True, "1": True, "false": False, "0": False}


class _Column(NamedTuple):
    """How the cells of one column become values."""

    name: str
    what: str
    parse: Callable[[str], Any]
    """Raises ValueError (also KeyError) when the cell is not ``what``."""
    missing: Any
    """What an empty cell stands for; ``_REFUSED`` where nothing may be missing."""


_REFUSED = object()


def _number(text: str) -> float:
    if "_" in text:  # float() would read 1_000
        raise ValueError
    return float(text)


def _whole_number(text: str) -> int:
    if "_" in text:
        raise ValueError
    return int(text)


def _column(name: str, dtype: str, accepts_missing: bool, ignored: bool) -> _Column:
    if ignored:
        return _Column(name, "anything", lambda _: 0.0, 0.0)
    if dtype == "string":
        return _Column(name, "a text", str, None if accepts_missing else "")
    if dtype in _FLOATS:
        missing = float("nan") if accepts_missing else _REFUSED
        return _Column(name, "a number", _number, missing)
    if dtype == "bool":
        return _Column(name, "true or false", lambda text: _WORDS[text.lower()], _REFUSED)
    return _Column(name, "a whole number", _whole_number, _REFUSED)


class CsvRows:
    """One pass over a CSV file. Not thread-safe.

    Args:
        stream: Opened with ``newline=""``.
        name: Of the file, for messages.
        signature: Of the model.
        header: Whether the first line holds names; None finds out.

    Raises:
        InvalidInputError: the model cannot be asked from a table.
    """

    def __init__(
        self, stream: TextIO, name: str, signature: Signature, header: bool | None = None
    ) -> None:
        self._reader = csv.reader(stream, strict=True)
        self._name = name
        self._signature = signature
        self._header = header
        self._places: list[int] | None = None
        """Where in a line the model's columns stand; None: one after the other."""
        self._is_matrix, self._columns = _plan(signature)

    def chunks(self, most_rows: int) -> Iterator[Any]:
        """What ``Model.predict`` takes, for up to so many rows at a time.

        Raises:
            InvalidInputError: names the file, the line, and what is wrong with it.
        """
        rows: list[list[Any]] = []
        for cells in self._lines():
            rows.append(self._values(cells))
            if len(rows) == most_rows:
                yield self._inputs(rows)
                rows = []
        if rows:
            yield self._inputs(rows)

    def _lines(self) -> Iterator[list[str]]:
        """Lines that hold rows, without the header."""
        try:
            first = next(self._reader, [])
            if first and not self._take_header(first):
                yield first
            for cells in self._reader:
                if cells:  # an empty line is none
                    yield cells
        except csv.Error as error:
            raise self._fault(f"is not CSV: {error}") from None
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"{self._name} is not UTF-8 text: {error}") from None

    def _fault(self, text: str) -> InvalidInputError:
        return InvalidInputError(f"{self._name} line {self._reader.line_num}: {text}")

    def _take_header(self, cells: list[str]) -> bool:
        """Reads the first line as names, if it is a line of names."""
        names = [column.name for column in self._columns if column.name]
        if self._header is False or not (names or self._header or self._looks_like_names(cells)):
            return False
        if not names:
            return True
        stripped = [cell.strip() for cell in cells]
        for name in names:
            if stripped.count(name) != 1:
                problem = "names it twice" if name in stripped else "does not name it"
                raise self._fault(
                    f"the model takes the column {name!r}, and this line {problem}; it takes "
                    f"{', '.join(names)}"
                )
        self._places = [stripped.index(name) for name in names]
        return True

    def _looks_like_names(self, cells: list[str]) -> bool:
        """Every cell: one that is no value among others is a mistake, not a name."""
        for index, cell in enumerate(cells):
            try:
                self._columns[min(index, len(self._columns) - 1)].parse(cell.strip())
            except (ValueError, KeyError):
                continue
            return False
        return True

    def _values(self, cells: list[str]) -> list[Any]:
        if self._places is not None:
            if len(cells) <= max(self._places):
                raise self._fault(f"has {len(cells)} values, fewer than the first line has names")
            cells = [cells[place] for place in self._places]
        elif len(self._columns) == 1 and self._width < 0:
            self._columns = self._columns * len(cells)  # the first row tells the width
        if len(cells) != len(self._columns):
            raise self._fault(f"has {len(cells)} values; the model takes {len(self._columns)}")
        return [
            self._value(number, column, cell)
            for number, (column, cell) in enumerate(zip(self._columns, cells, strict=True), 1)
        ]

    @property
    def _width(self) -> int:
        dims = self._signature.inputs[0][2]
        return dims[1] if self._is_matrix else len(self._columns)

    def _value(self, number: int, column: _Column, cell: str) -> Any:
        text = cell.strip()
        try:
            if text:
                return column.parse(text)
        except (ValueError, KeyError):
            where = f"column {column.name!r}" if column.name else f"column {number}"
            raise self._fault(f"{where} takes {column.what}, got {cell!r}") from None
        if column.missing is _REFUSED:
            where = f"column {column.name!r}" if column.name else f"column {number}"
            raise self._fault(f"{where} is empty, and the model takes no missing values there")
        return column.missing

    def _inputs(self, rows: list[list[Any]]) -> Any:
        specs = self._signature.inputs
        try:
            if self._is_matrix:
                return _array(rows, specs[0])
            by_name: dict[str, Any] = {}
            for column, spec, values in zip(
                self._columns, specs, zip(*rows, strict=True), strict=True
            ):
                array = _array(list(values), spec)
                if self._signature.layout == "tensors":
                    array = array.reshape((-1, 1)[: len(spec[2])])
                by_name[column.name] = array
            return by_name
        except OverflowError as error:
            raise self._fault(f"a number here or above is out of range: {error}") from None


def _plan(signature: Signature) -> tuple[bool, list[_Column]]:
    """Whether rows make one matrix, and the columns in the model's order."""
    specs, accepts = signature.inputs, signature.accepts_missing
    names: Sequence[str] = signature.column_names
    if signature.layout != "columns" and len(specs) == 1 and len(specs[0][2]) == 2:
        _, dtype, (_, width) = specs[0]
        named = names or [""] * max(width, 1)
        return True, [
            _column(name, dtype, accepts, place in signature.ignored)
            for place, name in enumerate(named)
        ]
    if all(tuple(spec[2][1:]) in ((), (1,)) and spec[2] for spec in specs):
        named = names or [spec[0] for spec in specs]
        pairs = enumerate(zip(named, specs, strict=True))
        return False, [
            _column(name, spec[1], accepts, place in signature.ignored)
            for place, (name, spec) in pairs
        ]
    shapes: Mapping[str, Any] = {spec[0]: list(spec[2]) for spec in specs}
    raise InvalidInputError(
        f"this model's inputs are no columns of a table: {shapes} (-1: any size); ask it from "
        "Python or over HTTP"
    )


def _array(values: list[Any], spec: Spec) -> Any:
    dtype = spec[1]
    if dtype == "string":
        return np.array(values, dtype=object)
    return np.array(values, dtype="float64" if dtype in _FLOATS else dtype)
