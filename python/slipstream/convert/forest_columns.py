"""Rules for what rearranges columns and combines transformers: pipelines, unions and the like."""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters import sklearn_columns
from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert.forest_emitter import Columns, Emitter, Transformer
from slipstream.convert.forest_file import Op


def pipeline(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    """All steps, one after the other."""
    for _, inner in step.steps:
        columns = emitter.transform(columns, inner)
    return columns


def labels_of(step: Any) -> list[str]:
    """Names of the columns a step was fitted on; empty strings if it knows none."""
    names = getattr(step, "feature_names_in_", None)
    if names is None:
        return [""] * int(step.n_features_in_)
    return [str(name) for name in names]


def column_transformer(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    """Each transformer on its columns, results side by side."""
    labels = labels_of(step)
    weights = step.transformer_weights or {}
    parts = []
    for name, inner, selection in step.transformers_:
        places = sklearn_columns.places_of(selection, labels)
        if (isinstance(inner, str) and inner == "drop") or not places:
            continue
        part = emitter.transform(columns.take(places), inner)
        parts.append(_weighted(emitter, part, weights.get(name)))
    return Columns(()).joined(parts, sparse=bool(step.sparse_output_))


def feature_union(emitter: Emitter, columns: Columns, step: Any) -> Columns:
    """Each transformer on all columns, results side by side."""
    weights = step.transformer_weights or {}
    parts = []
    for name, inner in step.transformer_list:
        if isinstance(inner, str) and inner == "drop":
            continue
        part = emitter.transform(columns, inner)
        parts.append(_weighted(emitter, part, weights.get(name)))
    return Columns(()).joined(parts, sparse=any(part.sparse for part in parts))


def _weighted(emitter: Emitter, part: Columns, weight: Any) -> Columns:
    if weight is None or not len(part):
        return part
    value = emitter.per_column(Op.MULTIPLY, emitter.numbers(part), float(weight))
    return emitter.columns_of(value, sparse=part.sparse, single=part.single)


def selection(_emitter: Emitter, columns: Columns, step: Any) -> Columns:
    """Any feature selection: the columns it supports."""
    kept = np.flatnonzero(step.get_support()).tolist()
    if not kept:
        raise UnconvertibleError(f"{type(step).__name__} selects no column")
    return columns.take(kept)


RULES: dict[str, Transformer] = {
    "Pipeline": pipeline,
    "ColumnTransformer": column_transformer,
    "FeatureUnion": feature_union,
    "SelectorMixin": selection,
}
