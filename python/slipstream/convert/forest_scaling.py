"""Rules for transformers that compute with numbers, in scikit-learn's order of operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert.forest_emitter import Columns, Emitter, Transformer
from slipstream.convert.forest_file import Op, Value
from slipstream.convert.forest_ops import Function

_MAX_TERMS = 1 << 14


def in_double(emitter: Emitter, columns: Columns, step: Any) -> Value:
    """The numbers of a table that scikit-learn computes on in float64.

    Raises:
        UnconvertibleError: It would compute in float32 here.
    """
    if columns.single:
        raise UnconvertibleError(f"{type(step).__name__} would compute in float32")
    return emitter.numbers(columns)


def _scaled(emitter: Emitter, columns: Columns, value: Value, scale: Any) -> Value:
    """Divided by ``scale``; sparse tables are multiplied by its reciprocal."""
    if columns.sparse:
        return emitter.per_column(Op.MULTIPLY, value, 1.0 / np.asarray(scale))
    return emitter.per_column(Op.DIVIDE, value, scale)


def _standard(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    value = in_double(emitter, columns, step)
    if step.with_mean:
        value = emitter.per_column(Op.SUBTRACT, value, step.mean_)
    if step.with_std:
        value = _scaled(emitter, columns, value, step.scale_)
    return emitter.columns_of(value, sparse=columns.sparse)


def _robust(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    value = in_double(emitter, columns, step)
    if step.with_centering:
        value = emitter.per_column(Op.SUBTRACT, value, step.center_)
    if step.with_scaling:
        value = _scaled(emitter, columns, value, step.scale_)
    return emitter.columns_of(value, sparse=columns.sparse)


def _min_max(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    value = in_double(emitter, columns, step)
    value = emitter.per_column(Op.MULTIPLY, value, step.scale_)
    value = emitter.per_column(Op.ADD, value, step.min_)
    if step.clip:
        value = emitter.once(Op.CLIP, value, scalars=[float(edge) for edge in step.feature_range])
    return emitter.columns_of(value)


def _max_abs(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    value = _scaled(emitter, columns, in_double(emitter, columns, step), step.scale_)
    if getattr(step, "clip", False):
        value = emitter.once(Op.CLIP, value, scalars=[-1.0, 1.0])
    return emitter.columns_of(value, sparse=columns.sparse)


def _binarizer(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    emitter.numbers(columns)  # a column of text is refused
    limit = np.array([float(step.threshold)])
    parts = [
        emitter.once(Op.DIGITIZE, emitter.column(cell), arrays=[limit], scalars=[0.0])
        for cell in columns.cells
    ]
    return emitter.columns_of(emitter.concat(parts), sparse=columns.sparse)


_FUNCTIONS = {
    "exp": Function.EXP,
    "log": Function.LOG,
    "sqrt": Function.SQRT,
    "negative": Function.NEGATE,
    "abs": Function.ABS,
    "absolute": Function.ABS,
    "square": Function.SQUARE,
    "exp2": Function.EXP2,
    "log1p": Function.LOG1P,
    "expm1": Function.EXPM1,
    "reciprocal": Function.RECIPROCAL,
    "expit": Function.EXPIT,
}


def applied(emitter: Emitter, columns: Columns, function: Any, arguments: Any) -> Columns:
    """A function of NumPy's or SciPy's by name, elementwise; None is the identity.

    Raises:
        UnconvertibleError: It is none of those that the program knows.
    """
    if function is None:
        return columns
    inner = getattr(function, "func", None)  # functools.partial
    name = getattr(inner or function, "__name__", "")
    module = str(getattr(inner or function, "__module__", ""))
    if name == "check_array" and module.startswith("sklearn."):
        return emitter.columns_of(emitter.numbers(columns))
    known = _FUNCTIONS.get(name) if isinstance(function, np.ufunc) and not arguments else None
    if known is None:
        raise UnconvertibleError(f"FunctionTransformer({name or 'a function'}) has no rule")
    if columns.single or columns.sparse:
        raise UnconvertibleError(f"{name} of float32 or sparse columns has no rule")
    return emitter.columns_of(emitter.function(known, emitter.numbers(columns)))


def _function(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    return applied(emitter, columns, step.func, step.kw_args)


def _pca(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    components = np.asarray(step.components_, dtype=np.float64)
    value = emitter.matmul(in_double(emitter, columns, step), components.T)
    shift = np.reshape(step.mean_, (1, -1)) @ step.components_.T
    value = emitter.per_column(Op.SUBTRACT, value, shift[0])
    if step.whiten:
        scale = np.sqrt(step.explained_variance_)
        value = emitter.per_column(Op.DIVIDE, value, np.maximum(scale, np.finfo(scale.dtype).eps))
    return emitter.columns_of(value)


def _svd(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    components = np.asarray(step.components_, dtype=np.float64)
    return emitter.columns_of(emitter.matmul(in_double(emitter, columns, step), components.T))


def _polynomial(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    """A term is the product of its factors from the last column to the first."""
    if columns.sparse:
        raise UnconvertibleError("PolynomialFeatures of a sparse matrix has no rule")
    value = in_double(emitter, columns, step)
    powers = np.asarray(step.powers_)
    if len(powers) > _MAX_TERMS:
        raise UnconvertibleError(f"PolynomialFeatures gives more than {_MAX_TERMS} columns")
    factors = [
        [column for column in range(len(row) - 1, -1, -1) for _ in range(int(row[column]))]
        for row in powers
    ]
    parts, order = [], []
    for degree in sorted({len(term) for term in factors}):
        which = [place for place, term in enumerate(factors) if len(term) == degree]
        order += which
        if degree == 0:
            parts.append(emitter.constant(columns, np.ones(len(which))))
            continue
        product = emitter.take(value, [factors[place][0] for place in which])
        for level in range(1, degree):
            other = emitter.take(value, [factors[place][level] for place in which])
            product = emitter.once(Op.MULTIPLY, product, other)
        parts.append(product)
    joined = emitter.concat(parts)
    return emitter.columns_of(emitter.take(joined, np.argsort(order).tolist()))


RULES: dict[str, Transformer] = {
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "Binarizer": _binarizer,
    "FunctionTransformer": _function,
    "PCA": _pca,
    "TruncatedSVD": _svd,
    "PolynomialFeatures": _polynomial,
}
