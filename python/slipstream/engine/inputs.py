"""From what Python callers have (arrays, frames, lists, dicts) to a request's tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slipstream import _engine
from slipstream.engine.signature import Signature, Spec
from slipstream.errors import InvalidInputError


def inputs_from(signature: Signature, x: Any) -> _engine.Inputs:
    """The tensors of one request; no copy where dtype and layout agree.

    Args:
        signature: Of the model.
        x: Layout ``matrix``: an array-like of shape ``(rows, width)`` or a data frame.
            ``columns``: a data frame, a list of dicts, a dict of columns, or an array-like of
            rows. ``tensors``: an array for a model with one input, else a dict by input name.

    Raises:
        InvalidInputError: ``x`` does not fit; names what was expected.
    """
    if signature.layout == "columns":
        arrays = _columns(signature, x)
    elif signature.layout == "matrix":
        arrays = [_matrix(signature, x)]
    else:
        arrays = _tensors(signature.inputs, x)
    if not signature.accepts_missing:
        _require_finite(signature, arrays)
    return _engine.wrap_arrays(signature.inputs, arrays)


def _require_finite(signature: Signature, arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Refuses what the estimator itself would refuse: a compiled artifact answers anything."""
    for spec, array in zip(signature.inputs, arrays, strict=True):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidInputError(
                f"input '{spec[0]}' contains NaN or infinity, which this model does not take"
            )


def _as_array(x: Any, spec: Spec) -> npt.NDArray[Any]:
    """An array of ``x``; object arrays of numbers (mixed lists, None) become the spec's dtype."""
    try:
        array = np.asarray(x)
        if array.dtype == object and spec[1] not in ("string", "bfloat16"):
            array = array.astype(spec[1])
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"input '{spec[0]}' takes {spec[1]} values: {error}") from error
    return array


def _is_frame(x: Any) -> bool:
    return hasattr(x, "columns") and hasattr(x, "to_numpy")


def _matrix(signature: Signature, x: Any) -> npt.NDArray[Any]:
    spec = signature.inputs[0]
    if _is_frame(x):
        if signature.ignored:
            x = np.stack(_named_columns(signature, x, x.columns), axis=1)
        elif signature.column_names:
            x = x[_check_names(signature.column_names, x.columns)].to_numpy()
        else:
            x = x.to_numpy()
    elif isinstance(x, Mapping) and set(x) == {spec[0]}:
        x = x[spec[0]]
    elif isinstance(x, Mapping):
        x = np.stack(_named_columns(signature, x, x), axis=1)
    elif signature.ignored and not (isinstance(x, np.ndarray) and x.dtype != object):
        x = _without_ignored(signature, x)
    array = _as_array(x, spec)
    if array.ndim == 1 and len(spec[2]) == 2:
        raise InvalidInputError(
            f"expected rows of shape (n, {spec[2][1] if spec[2][1] > 0 else 'width'}), got a flat "
            f"array of {array.shape[0]} values; wrap one row as [row]"
        )
    return array


def _named_columns(signature: Signature, x: Any, given: Any) -> list[npt.NDArray[Any]]:
    """The columns of a frame or a mapping in the model's order; zeros for those it drops."""
    names = signature.column_names
    used = _check_names(_used(signature, names), given)
    rows = len(x[used[0]])
    return [np.asarray(x[name]) if name in used else np.zeros(rows) for name in names]


def _used(signature: Signature, names: Sequence[str]) -> list[str]:
    return [name for place, name in enumerate(names) if place not in signature.ignored]


def _without_ignored(signature: Signature, x: Any) -> Any:
    """Rows with 0 where the model drops what stands there."""
    table = np.array(x, dtype=object)
    if table.ndim == 2 and table.shape[1] > max(signature.ignored):
        table[:, list(signature.ignored)] = 0.0
    return table


def _columns(signature: Signature, x: Any) -> list[npt.NDArray[Any]]:
    names = signature.column_names or tuple(spec[0] for spec in signature.inputs)
    columns = _column_values(signature, names, x)
    shapes = [(-1, 1) if len(spec[2]) == 2 else (-1,) for spec in signature.inputs]
    return [
        _column_array(values, spec).reshape(shape)
        for values, spec, shape in zip(columns, signature.inputs, shapes, strict=True)
    ]


def _column_array(values: Any, spec: Spec) -> npt.NDArray[Any]:
    if spec[1] == "string":
        return np.asarray(values, dtype=object)
    return _as_array(values, spec)


def _column_values(signature: Signature, names: Sequence[str], x: Any) -> list[Any]:
    """One sequence of values per column, in the model's order; zeros for those it drops."""
    used = _used(signature, names)
    if _is_frame(x):
        _check_names(used, x.columns)
        return [x[name].to_numpy() if name in used else np.zeros(len(x)) for name in names]
    if isinstance(x, Mapping):
        rows_given = len(x[_check_names(used, x)[0]])
        return [x[name] if name in used else np.zeros(rows_given) for name in names]
    rows = list(x)
    if rows and all(isinstance(row, Mapping) for row in rows):
        for row in rows:
            _check_names(used, row)
        return [[row[name] if name in used else 0.0 for row in rows] for name in names]
    widths = {len(row) for row in rows}
    if widths - {len(names)}:
        raise InvalidInputError(
            f"expected rows of {len(names)} values ({', '.join(names)}), got {sorted(widths)}"
        )
    return [
        [0.0 if index in signature.ignored else row[index] for row in rows]
        for index in range(len(names))
    ]


def _check_names(names: Sequence[str], given: Any) -> list[str]:
    missing = [name for name in names if name not in given]
    if missing or not names:
        raise InvalidInputError(
            f"missing column {missing[0]!r}; the model takes {', '.join(map(repr, names))}"
            if missing
            else "the model was trained without column names; pass an array instead"
        )
    return list(names)


def _tensors(specs: list[Spec], x: Any) -> list[npt.NDArray[Any]]:
    names = [spec[0] for spec in specs]
    if not isinstance(x, Mapping):
        if len(specs) != 1:
            raise InvalidInputError(f"the model has several inputs; pass a dict with {names}")
        return [_as_array(x, specs[0])]
    unknown = [name for name in x if name not in names]
    missing = [name for name in names if name not in x]
    if unknown or missing:
        problem = f"unknown input {unknown[0]!r}" if unknown else f"missing input {missing[0]!r}"
        raise InvalidInputError(f"{problem}; the model takes {names}")
    return [_as_array(x[spec[0]], spec) for spec in specs]
