"""Rules for what fills or marks missing values.

Strings are not rewritten in the program: the fill is noted on the column, and whoever looks the
strings up (an encoder) takes a replaced string for the other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert.forest_emitter import Cell, Columns, Emitter, Transformer
from slipstream.convert.forest_file import Op, Value


def _simple(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    statistics = np.asarray(step.statistics_)
    kept = list(range(len(statistics)))
    if not step.keep_empty_features:
        kept = [place for place in kept if not _is_nan(statistics[place])]
    fills = statistics.astype(step._fill_dtype, copy=False)
    if any(cell.is_text for cell in columns.cells):
        filled = tuple(
            _filled(emitter, columns.cells[place], step.missing_values, fills[place])
            for place in kept
        )
    else:
        filled = _numbers_filled(emitter, columns.take(kept), step.missing_values, fills[kept])
    if not step.add_indicator:
        return replace(columns, cells=filled)
    marks = _indicator(emitter, columns, step.indicator_)
    return Columns((*filled, *marks.cells), columns.sparse)


def _numbers_filled(
    emitter: Emitter, columns: Columns, missing: Any, fills: Any
) -> tuple[Cell, ...]:
    if not len(columns):
        return ()
    try:
        numbers = np.asarray(fills, dtype=np.float64)
    except ValueError:
        raise UnconvertibleError("SimpleImputer fills a column of numbers with text") from None
    value = emitter.numbers(columns)
    if isinstance(missing, (int, float, np.number)):  # text is in no column of numbers
        value = emitter.once(Op.REPLACE_MISSING, value, arrays=[numbers], scalars=[float(missing)])
    return tuple(
        Cell(value, at, cell.single, name=cell.name) for at, cell in enumerate(columns.cells)
    )


def _filled(emitter: Emitter, cell: Cell, missing: Any, fill: Any) -> Cell:
    """One column of a table that holds text, with its missing values filled."""
    if not cell.is_text:
        return _numbers_filled(emitter, Columns((cell,)), missing, [fill])[0]
    if not isinstance(fill, str):
        raise UnconvertibleError("SimpleImputer fills a column of text with something else")
    if missing is None:
        raise UnconvertibleError("SimpleImputer(missing_values=None) has no rule")
    found = None if _is_nan(missing) else missing
    if found is not None and not isinstance(found, str):
        return cell  # a number is in no column of text
    merged = {key: fill if value == found else value for key, value in cell.fills}
    merged.setdefault(found, fill)
    return replace(cell, fills=tuple(merged.items()))


def _is_nan(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _indicator(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    """MissingIndicator: 1.0 where a value is missing, for the columns in ``features_``."""
    places = [int(place) for place in step.features_]
    parts = [_marked(emitter, columns.cells[place], step.missing_values) for place in places]
    if not parts:
        return Columns(())
    return emitter.columns_of(emitter.concat(parts), sparse=bool(step.sparse is True))


def _marked(emitter: Emitter, cell: Cell, missing: Any) -> Value:
    column = emitter.column(cell)
    if not cell.is_text:
        if not isinstance(missing, (int, float, np.number)):
            raise UnconvertibleError("MissingIndicator looks for text among numbers")
        return emitter.once(Op.IS_MISSING, column, scalars=[float(missing)])
    fills = dict(cell.fills)
    if _is_nan(missing):
        mark = 0.0 if None in fills else 1.0
        return emitter.once(
            Op.LOOKUP_TEXT, column, arrays=[("",), np.zeros(1)], scalars=[0.0, mark]
        )
    if not isinstance(missing, str) or cell.fills:
        raise UnconvertibleError("MissingIndicator of this kind of text has no rule")
    return emitter.once(Op.LOOKUP_TEXT, column, arrays=[(missing,), np.ones(1)], scalars=[0.0, 0.0])


RULES: dict[str, Transformer] = {
    "SimpleImputer": _simple,
    "MissingIndicator": _indicator,
}
