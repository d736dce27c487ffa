"""Rules for encoders and discretizers.

What an encoder makes of each category is asked of the encoder itself: a table of its categories, a
missing value and one it does not know goes through ``transform``. So infrequent categories, dropped
ones and the policies for unknown ones need no rule here, and every number is scikit-learn's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from slipstream.adapters.base import Array, quiet
from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert.forest_emitter import Cell, Columns, Emitter, Transformer
from slipstream.convert.forest_file import Op, Value

_REFUSED = -2.0
_NONE_HOT = -1.0
_UNKNOWN_TEXT = "\N{NULL} no such category \N{NULL}"
_LARGEST_TABLE = 1 << 26
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class _Learned:
    """What an encoder makes of one column.

    Attributes:
        keys: Its categories without missing ones: str, or float.
        outputs: f64[keys, width].
        missing, unknown: f64[width]; None where it raises.
    """

    keys: list[Any]
    outputs: Array
    missing: Array | None
    unknown: Array | None


def _encoder(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    """OneHotEncoder, OrdinalEncoder, TargetEncoder: any that maps each column by itself."""
    single = _is_single(step)
    sparse = bool(getattr(step, "sparse_output", False))
    learned = _ask(step, columns)
    found = (
        _looked_up(emitter, cell, one, f"column {cell.name or f'number {place}'}")
        for place, (cell, one) in enumerate(zip(columns.cells, learned, strict=True), start=1)
    )
    parts = [part for part in found if part is not None]
    if not parts:
        raise UnconvertibleError(f"{type(step).__name__} gives no columns")
    cells = [emitter.columns_of(part, sparse=sparse, single=single) for part in parts]
    return Columns(()).joined(cells, sparse=sparse)


def _is_single(step: Any) -> bool:
    dtype = np.dtype(getattr(step, "dtype", np.float64))
    if dtype.kind == "f" and dtype.itemsize < 4:
        raise UnconvertibleError(f"{type(step).__name__} gives {dtype.name}")
    return dtype == np.float32


def _ask(step: Any, columns: Columns) -> list[_Learned]:
    """What ``step`` makes of every category of every column."""
    texts = [cell.is_text for cell in columns.cells]
    keys = [
        _keys(categories, is_text)
        for categories, is_text in zip(step.categories_, texts, strict=True)
    ]
    if any(not known for known in keys):
        raise UnconvertibleError(f"{type(step).__name__} knows no category of a column")
    rows = max(len(known) for known in keys)
    if rows * len(keys) > _LARGEST_TABLE:
        raise UnconvertibleError(f"{type(step).__name__} knows too many categories")
    table = [known + [known[0]] * (rows - len(known)) for known in keys]
    answers = _transform(step, list(zip(*table, strict=True)), texts)
    widths = _widths(step, keys, answers, texts)
    starts = np.cumsum([0, *widths])
    missing, unknown = _ask_edges(step, keys, texts)
    spans = [slice(int(a), int(b)) for a, b in pairwise(starts)]
    return [
        _Learned(
            known,
            answers[: len(known), span],
            missing[place][span] if place in missing else None,
            unknown[place][span] if place in unknown else None,
        )
        for place, (known, span) in enumerate(zip(keys, spans, strict=True))
    ]


def _ask_edges(
    step: Any, keys: list[list[Any]], texts: list[bool]
) -> tuple[dict[int, Array], dict[int, Array]]:
    """Outputs of a row whose one column is missing, or unknown; without columns where it raises."""
    first = [known[0] for known in keys]
    lenient = getattr(step, "handle_unknown", "ignore") != "error"
    rows: list[list[Any]] = []
    places: list[tuple[int, bool]] = []
    for place, known in enumerate(keys):
        odd = _UNKNOWN_TEXT if texts[place] else _unknown_number(known)
        asked = [(odd, True)] if lenient else []
        if lenient or _knows_missing(step.categories_[place]):
            asked.append((np.nan, False))
        for value, is_odd in asked:
            rows.append([*first[:place], value, *first[place + 1 :]])
            places.append((place, is_odd))
    answers: list[Array] = []
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        answers += list(_transform(step, rows[begin : begin + _ROWS_AT_ONCE], texts))
    missing: dict[int, Array] = {}
    unknown: dict[int, Array] = {}
    for (place, is_odd), answer in zip(places, answers, strict=True):
        (unknown if is_odd else missing)[place] = answer
    return missing, unknown


def _knows_missing(categories: Any) -> bool:
    return any(isinstance(value, float) and np.isnan(value) for value in categories.tolist())


def _keys(categories: Any, is_text: bool) -> list[Any]:
    values = np.asarray(categories).tolist()
    if is_text:
        return [value for value in values if isinstance(value, str)]
    numbers = {float(value) for value in values if isinstance(value, (int, float))}
    return sorted(number for number in numbers if not np.isnan(number))


def _unknown_number(known: list[float]) -> float:
    return float(np.max(np.abs(known))) * 2 + 1.5


def _transform(step: Any, rows: list[Any], texts: list[bool]) -> Array:
    """f64[rows, outputs] of rows given as the columns are served."""
    if any(texts):
        table = np.empty((len(rows), len(texts)), dtype=object)
        for number, row in enumerate(rows):
            table[number] = row
    else:
        table = np.array(rows, dtype=np.float64)
    with quiet():
        answer = step.transform(table)
    dense = answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)
    return dense.astype(np.float64)


def _widths(step: Any, keys: list[Any], answers: Array, texts: list[bool]) -> list[int]:
    """How many output columns each input column has."""
    outs = getattr(step, "_n_features_outs", None)
    if outs is not None:
        return [int(count) for count in outs]
    each, rest = divmod(answers.shape[1], len(keys))
    if rest:
        raise UnconvertibleError(f"{type(step).__name__} gives an odd number of columns")
    return [each] * len(keys)


def _looked_up(emitter: Emitter, cell: Cell, learned: _Learned, what: str) -> Value | None:
    """The outputs of one column; None where it has none, though it still refuses what it must."""
    width = learned.outputs.shape[1]
    if width == 0:
        nothing = np.zeros((len(learned.keys), 1))
        edges = (
            None if edge is None else np.zeros(1) for edge in (learned.missing, learned.unknown)
        )
        _look_up(emitter, cell, _Learned(learned.keys, nothing, *edges), 0, what)
        return None
    if _is_one_hot(learned):
        codes = _Learned(
            learned.keys,
            _hot(learned.outputs)[:, None],
            None if learned.missing is None else _hot(learned.missing[None]),
            None if learned.unknown is None else _hot(learned.unknown[None]),
        )
        found = _look_up(emitter, cell, codes, 0, what)
        return emitter.once(Op.ONE_HOT, found, scalars=[width, 0])
    return emitter.concat(
        [_look_up(emitter, cell, learned, output, what) for output in range(width)]
    )


def _is_one_hot(learned: _Learned) -> bool:
    edges = [edge[None] for edge in (learned.missing, learned.unknown) if edge is not None]
    table = np.concatenate([learned.outputs, *edges])
    zeros_and_ones = ((table == 0) | (table == 1)).all()
    return table.shape[1] > 1 and bool(zeros_and_ones) and bool((table.sum(axis=1) <= 1).all())


def _hot(table: Array) -> Array:
    """f64[rows]: which column is 1; _NONE_HOT where none is."""
    return np.where(table.any(axis=1), np.argmax(table, axis=1), _NONE_HOT)


def _look_up(emitter: Emitter, cell: Cell, learned: _Learned, output: int, what: str) -> Value:
    """[1]: one output of one column."""
    results = learned.outputs[:, output]
    edges = [learned.missing, learned.unknown]
    refused = _REFUSED
    while (results == refused).any() or any(e is not None and e[output] == refused for e in edges):
        refused -= 1.0  # a number that no category has
    missing, unknown = (refused if edge is None else float(edge[output]) for edge in edges)
    if cell.is_text:
        value = _look_up_text(emitter, cell, learned.keys, results, unknown, missing)
    else:
        keys = np.array([*learned.keys, np.nan])
        with_missing = np.append(results, missing)
        column = emitter.column(cell)
        value = emitter.once(
            Op.LOOKUP_NUMBER, column, arrays=[keys, with_missing], scalars=[unknown]
        )
    if learned.missing is not None and learned.unknown is not None:
        return value
    text = f"{what} holds a category that the model's encoder does not know".encode()
    reason = np.frombuffer(text, dtype=np.uint8)
    return emitter.once(Op.REFUSE, value, arrays=[reason], scalars=[refused])


def _look_up_text(
    emitter: Emitter, cell: Cell, keys: list[str], results: Array, unknown: float, missing: float
) -> Value:
    table = dict(zip(keys, results.tolist(), strict=True))
    given = dict(table)
    for found, fill in cell.fills:
        result = table.get(fill, unknown)
        if found is None:
            missing = result
        else:
            given[found] = result
    ordered = sorted(given, key=lambda text: text.encode())
    numbers = np.array([given[text] for text in ordered])
    return emitter.once(
        Op.LOOKUP_TEXT, emitter.column(cell), arrays=[ordered, numbers], scalars=[unknown, missing]
    )


def _bins(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    """KBinsDiscretizer."""
    if columns.single or _is_single(step):
        raise UnconvertibleError("KBinsDiscretizer of float32 has no rule")
    emitter.numbers(columns)  # a column of text is refused
    parts = []
    for cell, edges in zip(columns.cells, step.bin_edges_, strict=True):
        inner = np.asarray(edges[1:-1], dtype=np.float64)
        if len(inner):
            value = emitter.once(Op.DIGITIZE, emitter.column(cell), arrays=[inner], scalars=[1.0])
        else:
            value = emitter.constant(columns, 0.0)
        if step.encode != "ordinal":
            value = emitter.once(Op.ONE_HOT, value, scalars=[len(inner) + 1, 0])
        parts.append(value)
    sparse = step.encode == "onehot"
    return emitter.columns_of(emitter.concat(parts), sparse=sparse)


RULES: dict[str, Transformer] = {
    "OneHotEncoder": _encoder,
    "OrdinalEncoder": _encoder,
    "TargetEncoder": _encoder,
    "KBinsDiscretizer": _bins,
}
