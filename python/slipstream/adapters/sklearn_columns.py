"""Which columns a scikit-learn model takes: their names, and which hold text.

An estimator remembers column names but not their types. What its encoders and imputers learned
tells: a column with text categories is text, every other one is numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters.base import Array
from slipstream.adapters.sklearn_trees import is_tree_model
from slipstream.models.manifest import Column

_PER_TARGET = ("OneVsRestClassifier", "MultiOutputClassifier", "MultiOutputRegressor")
_KEEP_PLACES = ("str", "SimpleImputer", "FunctionTransformer")
TEXT_VECTORIZERS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")


def first_steps(estimator: Any) -> list[Any]:
    """The estimators that see the raw columns: through pipelines, searches and combinations."""
    if hasattr(estimator, "steps"):
        inner = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return first_steps(inner[0]) if inner else []
    for attribute in ("best_estimator_", "regressor_", "estimator_"):
        if hasattr(estimator, attribute) and not is_tree_model(estimator):
            return first_steps(getattr(estimator, attribute))
    if type(estimator).__name__ in _PER_TARGET:
        return first_steps(estimator.estimators_[0])
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
        for place, values in _learned(step, list(range(int(width)))):
            if dtypes[place] == "float64":
                dtypes[place] = _dtype_of(values)
    dropped = _dropped(steps, int(width))
    return tuple(
        Column(name=label, dtype=dtype, ignored=place in dropped)  # type: ignore[arg-type]
        for place, (label, dtype) in enumerate(zip(labels, dtypes, strict=True))
    )


def _dropped(steps: list[Any], width: int) -> set[int]:
    """Columns that none of the first steps passes on: what a ColumnTransformer drops."""
    dropped = set(range(width)) if steps else set()
    for step in steps:
        if not hasattr(step, "transformers_"):
            return set()
        names = getattr(step, "feature_names_in_", None)
        labels = [str(name) for name in names] if names is not None else [""] * width
        for _, inner, selection in step.transformers_:
            if not (isinstance(inner, str) and inner == "drop"):
                dropped.difference_update(places_of(selection, labels))
    return dropped


def known_values(estimator: Any, width: int) -> dict[int, list[Any]]:
    """For each column of which steps learned values: those of the one that knows most."""
    return {place: lists[0] for place, lists in _values(estimator, width).items()}


def other_values(estimator: Any, width: int) -> dict[int, list[Any]]:
    """What the other steps know beside `known_values`: an imputer's fill, another encoder's."""
    return {
        place: [value for one in lists[1:] for value in one if value not in lists[0]]
        for place, lists in _values(estimator, width).items()
    }


def _values(estimator: Any, width: int) -> dict[int, list[list[Any]]]:
    """Learned values by column, longest list first (of equals the last), missing ones left out."""
    found: dict[int, list[list[Any]]] = {}
    for step in first_steps(estimator):
        for place, values in _learned(step, list(range(width))):
            kept = [value for value in values.tolist() if value is not None and value == value]
            if kept:
                found.setdefault(place, []).insert(0, kept)
    return {place: sorted(lists, key=len, reverse=True) for place, lists in found.items()}


def _learned(step: Any, places: list[int]) -> list[tuple[int, Array]]:
    """(column, values) for the columns whose values ``step``, which is given them, has learned."""
    if step is None or isinstance(step, str):
        return []
    if getattr(step, "_preprocessor", None) is not None:  # HistGradientBoosting's
        step = step._preprocessor
    found = []
    if hasattr(step, "transformers_"):
        names = getattr(step, "feature_names_in_", None)
        labels = [str(n) for n in names] if names is not None else [""] * len(places)
        for _, inner, selection in step.transformers_:
            found += _learned(inner, [places[at] for at in places_of(selection, labels)])
    elif hasattr(step, "transformer_list"):
        for _, inner in step.transformer_list:
            found += _learned(inner, places)
    elif hasattr(step, "steps"):
        for _, inner in step.steps:
            found += _learned(inner, places)
            if inner is not None and type(inner).__name__ not in _KEEP_PLACES:
                break
    else:
        found = _encoded(step, places)
    return found


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
