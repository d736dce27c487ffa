"""Which columns a scikit-learn model takes: their names, and which hold text.

An estimator remembers column names but not their types. What its encoders and imputers learned
tells: a column with text categories is text, every other one is numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters.base import Array
from slipstream.models.manifest import Column

TEXT_VECTORIZERS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")


def first_steps(estimator: Any) -> list[Any]:
    """The estimators that see the raw columns: through pipelines, searches and combinations."""
    if hasattr(estimator, "steps"):
        inner = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return first_steps(inner[0]) if inner else []
    for attribute in ("best_estimator_", "estimator_"):
        if hasattr(estimator, attribute):
            return first_steps(getattr(estimator, attribute))
    named = getattr(estimator, "estimators", None)
    fitted = getattr(estimator, "estimators_", None)
    if named is not None and fitted is not None and not hasattr(estimator, "tree_"):
        members = [member for member in fitted if hasattr(member, "get_params")]
        return [step for member in members for step in first_steps(member)]
    calibrated = getattr(estimator, "calibrated_classifiers_", None)
    if calibrated:
        return first_steps(calibrated[0].estimator)
    return [estimator]


def columns_of(estimator: Any) -> tuple[Column, ...] | None:
    """Every column with its dtype: text where an encoder or imputer learned text from it."""
    steps = first_steps(estimator)
    width = getattr(estimator, "n_features_in_", None)
    names = getattr(estimator, "feature_names_in_", None)
    if width is None:
        return None
    labels = [str(name) for name in names] if names is not None else [f"x{i}" for i in range(width)]
    dtypes = ["float64"] * int(width)
    for step in steps:
        for place, values in _learned(step, labels):
            if dtypes[place] == "float64":
                dtypes[place] = _dtype_of(values)
    return tuple(
        Column(name=label, dtype=dtype)  # type: ignore[arg-type]
        for label, dtype in zip(labels, dtypes, strict=True)
    )


def known_values(estimator: Any, width: int) -> dict[int, list[Any]]:
    """For each column of which encoders learned values: those values, missing ones left out."""
    names = getattr(estimator, "feature_names_in_", None)
    labels = [str(name) for name in names] if names is not None else [""] * width
    found: dict[int, list[Any]] = {}
    for step in first_steps(estimator):
        for place, values in _learned(step, labels):
            kept = [value for value in values.tolist() if value is not None and value == value]
            if kept:
                found.setdefault(place, kept)
    return found


def _learned(step: Any, labels: list[str]) -> list[tuple[int, Array]]:
    """(column, values) for the columns whose values ``step`` has learned."""
    if not hasattr(step, "transformers_"):
        return _encoded(step, list(range(len(labels))))
    found = []
    for _, transformer, selection in step.transformers_:
        places = places_of(selection, labels)
        for inner in [transformer] if isinstance(transformer, str) else _chain(transformer):
            found += _encoded(inner, places)
    return found


def _chain(transformer: Any) -> list[Any]:
    """A transformer, or the leading steps of a pipeline that keep columns in their places."""
    if not hasattr(transformer, "steps"):
        return [transformer]
    keeping = []
    for _, step in transformer.steps:
        keeping.append(step)
        if type(step).__name__ not in ("SimpleImputer", "FunctionTransformer"):
            break
    return keeping


def places_of(selection: Any, labels: list[str]) -> list[int]:
    """Column numbers that a ColumnTransformer's selection (names, numbers, slice, mask) means."""
    if isinstance(selection, str):
        return [labels.index(selection)]
    if isinstance(selection, slice):
        bound = [
            labels.index(end) if isinstance(end, str) else end
            for end in (selection.start, selection.stop)
        ]
        stop = bound[1] + 1 if isinstance(selection.stop, str) else bound[1]
        return list(range(len(labels)))[slice(bound[0], stop, selection.step)]
    if np.isscalar(selection):
        return [int(selection)]  # type: ignore[arg-type]
    items = list(selection)
    if items and all(isinstance(item, (bool, np.bool_)) for item in items):
        return [place for place, chosen in enumerate(items) if chosen]
    return [labels.index(item) if isinstance(item, str) else int(item) for item in items]


def _encoded(step: Any, places: list[int]) -> list[tuple[int, Array]]:
    if type(step).__name__ in TEXT_VECTORIZERS:
        return [(place, np.array(["some text"], dtype=object)) for place in places]
    learned = getattr(step, "categories_", None)
    if learned is None and isinstance(getattr(step, "statistics_", None), np.ndarray):
        if step.statistics_.dtype.kind not in "OU":
            return []
        learned = [np.array([value], dtype=object) for value in step.statistics_]
    if not isinstance(learned, (list, tuple)) or len(learned) != len(places):
        return []
    return [(place, np.asarray(v)) for place, v in zip(places, learned, strict=True)]


def _dtype_of(values: Array) -> str:
    if values.dtype.kind == "b":
        return "bool"
    if values.dtype.kind in "OUST" and any(isinstance(value, str) for value in values.tolist()):
        return "string"
    return "float64"
