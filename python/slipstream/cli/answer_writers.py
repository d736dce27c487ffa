"""Predictions on their way out: CSV, or one JSON object a line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TextIO

import msgspec
import numpy as np
import numpy.typing as npt

from slipstream.errors import InvalidInputError

Array = npt.NDArray[Any]
Label = str | bool | int | float


class Answers(NamedTuple):
    """Of one chunk of rows."""

    rows: int
    predictions: Any
    """What ``Model.predict`` returned: an array, or a dict of arrays by output."""
    probabilities: Any
    """What ``Model.predict_proba`` returned: an array or a list of arrays; None: not asked for."""


Writer = Callable[[Answers], None]


def csv_writer(stream: TextIO, classes: Sequence[Label] | None) -> Writer:
    """Writes a line of names first, then one line a row; what is not a number is empty.

    The writer raises `InvalidInputError` where answers are no table.
    """
    write = csv.writer(stream, lineterminator="\n").writerows
    began = False

    def write_chunk(answers: Answers) -> None:
        nonlocal began
        columns = list(_columns(answers, classes))
        if not began:
            write([[name for name, _ in columns]])
            began = True
        write(zip(*(_texts(values) for _, values in columns), strict=True))

    return write_chunk


def json_writer(stream: TextIO) -> Writer:
    """Writes ``{"prediction": …, "probabilities": […]}`` a row; what is not a number is null."""

    def write_chunk(answers: Answers) -> None:
        predictions = _per_row("predictions", answers.predictions, answers.rows)
        keys, parts = ["prediction"], [predictions]
        if answers.probabilities is not None:
            keys.append("probabilities")
            parts.append(_per_row("probabilities", answers.probabilities, answers.rows))
        for row in zip(*parts, strict=True):
            stream.write(msgspec.json.encode(dict(zip(keys, row, strict=True))).decode() + "\n")

    return write_chunk


def _columns(answers: Answers, classes: Sequence[Label] | None) -> Iterator[tuple[str, Array]]:
    """Every column of the table by name."""
    predictions = answers.predictions
    if isinstance(predictions, dict):
        for name, values in predictions.items():
            yield from _split(name, values, answers.rows, None)
    else:
        yield from _split("prediction", predictions, answers.rows, None)
    probabilities = answers.probabilities
    if isinstance(probabilities, list):
        for target, values in enumerate(probabilities):
            yield from _split(f"probability_{target}", values, answers.rows, None)
    elif probabilities is not None:
        yield from _split("probability", probabilities, answers.rows, classes)


def _split(
    name: str, values: Array, rows: int, labels: Sequence[Label] | None
) -> Iterator[tuple[str, Array]]:
    _check_rows(name, values, rows)
    if values.ndim == 1:
        yield name, values
        return
    if values.ndim != 2:
        raise InvalidInputError(
            f"the output {name!r} has {values.ndim - 1} dimensions a row; ask for --json"
        )
    for place in range(values.shape[1]):
        label = labels[place] if labels is not None and len(labels) == values.shape[1] else place
        yield f"{name}_{label}", values[:, place]


def _check_rows(name: str, values: Array, rows: int) -> None:
    if values.ndim == 0 or values.shape[0] != rows:
        raise InvalidInputError(
            f"the output {name!r} of shape {list(values.shape)} does not answer row by row for "
            f"{rows} rows; ask the model from Python or over HTTP"
        )


def _texts(values: Array) -> list[str]:
    """Cells; floats with as many digits as their own precision needs."""
    if values.dtype.kind == "f":
        return ["" if text == "nan" else text for text in values.astype(str).tolist()]
    return ["" if value is None else str(value) for value in values.tolist()]


def _per_row(name: str, values: Any, rows: int) -> list[Any]:
    """One plain value a row, of arrays, dicts of arrays and lists of arrays."""
    if isinstance(values, dict):
        columns = [_per_row(key, part, rows) for key, part in values.items()]
        return [dict(zip(values, row, strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(values, list):
        columns = [_per_row(name, part, rows) for part in values]
        return [list(row) for row in zip(*columns, strict=True)]
    _check_rows(name, values, rows)
    if values.dtype.kind == "f" and values.dtype.itemsize < 8:
        values = values.astype(str).astype(np.float64)  # 0.1, not 0.10000000149011612
    plain: list[Any] = values.tolist()
    return plain
