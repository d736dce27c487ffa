"""Rows to prove a conversion on: noise over the range of the model's own numbers.

A model's file tells what it reacts to: the thresholds of its trees, the statistics of its scalers,
the vectors it remembers. Rows are drawn around those, with exact thresholds and their neighbours,
zeros and values next to zero among them, because that is where a conversion goes wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slipstream.adapters import lightgbm, sklearn_columns, sklearn_trees, xgboost
from slipstream.adapters.base import Array, Served, quiet
from slipstream.adapters.trees import TreeEnsemble, UnconvertibleError

F64 = npt.NDArray[np.float64]
Rng = np.random.Generator

ROWS = 2000
_ROWS_WIDE = 1000
_WIDE = 2000
_TINY = 1e-36
_SPREAD = 3.0
_KEEPING = ("SimpleImputer", "KNNImputer", "IterativeImputer")


def rows_for(served: Served, seed: int = 0) -> F64:
    """f64[rows, width], finite; 2000 rows (1000 above 2000 columns)."""
    width = served.width
    if width is None:
        raise ValueError("a model of unknown width cannot be probed")
    rng = np.random.default_rng(seed)
    count = ROWS if width <= _WIDE else _ROWS_WIDE
    with quiet():
        rows = _around(served.estimator, count, width, rng)
    rows[rng.random(rows.shape) < 0.02] = 0.0
    rows[rng.random(rows.shape) < 0.01] = _TINY
    limit = float(np.finfo(np.float32).max) / 4
    finite: F64 = np.clip(np.nan_to_num(rows), -limit, limit)
    return finite


def with_missing(rows: F64, seed: int = 1) -> F64:
    """A copy in which every third row has NaN in about a fifth of its cells."""
    rng = np.random.default_rng(seed)
    holes = rng.random(rows.shape) < 0.2
    holes[np.arange(len(rows)) % 3 != 0] = False
    return np.where(holes, np.nan, rows)


def _around(estimator: Any, count: int, width: int, rng: Rng) -> F64:
    """Rows in the estimator's own input space."""
    for library in (sklearn_trees, xgboost, lightgbm):
        if library.is_tree_model(estimator):
            try:
                return _around_trees(library, estimator, count, width, rng)
            except UnconvertibleError:
                break
    if hasattr(estimator, "steps"):
        return _around_pipeline(estimator, count, width, rng)
    if hasattr(estimator, "best_estimator_"):
        return _around(estimator.best_estimator_, count, width, rng)
    members = _members(estimator, width)
    if members:
        share = -(-count // len(members))
        parts = [_around(member, share, width, rng) for member in members]
        return rng.permutation(np.concatenate(parts))[:count]
    if hasattr(estimator, "transformers_"):
        return _around_columns(estimator, count, width, rng)
    remembered = _remembered(estimator, width)
    if remembered is not None:
        chosen = remembered[rng.integers(0, len(remembered), count)]
        scale = remembered.std(axis=0) * rng.choice([0.0, 0.1, 0.5, 1.0], size=(count, 1))
        return np.asarray(chosen + rng.normal(size=chosen.shape) * scale)
    center, scale = _statistics(estimator, width)
    return np.asarray(center + rng.normal(size=(count, width)) * scale * _SPREAD / 2)


def _members(estimator: Any, width: int) -> list[Any]:
    members = getattr(estimator, "estimators_", None)
    if members is None or not isinstance(members, list):
        return []
    flat = [m for m in members if getattr(m, "n_features_in_", None) == width]
    return flat[:8]


def _around_trees(library: Any, estimator: Any, count: int, width: int, rng: Rng) -> F64:
    trees = getattr(library, "sums_of", library.extract)(estimator)
    rows = _around_thresholds(trees, count, width, rng)
    preprocessor = getattr(estimator, "_preprocessor", None)  # HistGradientBoosting's
    if preprocessor is None:
        return rows
    return _back_through_columns(preprocessor, rows, np.zeros((count, width)))


def _around_thresholds(trees: TreeEnsemble, count: int, width: int, rng: Rng) -> F64:
    rows = np.zeros((count, width))
    numeric = ~trees.is_leaf & np.isfinite(trees.threshold) & (trees.sets_of_nodes < 0)
    for feature in range(trees.n_features):
        column = feature if trees.columns is None else int(trees.columns[feature])
        category = trees.categories.get(feature)
        if category is not None:
            rows[:, column] = rng.integers(-1, category.count + 2, count)
            continue
        values = np.unique(trees.threshold[numeric & (trees.feature == feature)])
        if len(values) == 0:
            rows[:, column] = rng.normal(size=count)
            continue
        low, high = float(values[0]), float(values[-1])
        margin = 0.15 * (high - low) or max(abs(low), 1.0)
        noise = rng.uniform(low - margin, high + margin, count)
        exact = _neighbours(rng.choice(values, count), rng)
        rows[:, column] = np.where(rng.random(count) < 0.4, exact, noise)
    return rows


def _neighbours(values: F64, rng: Rng) -> F64:
    """Each value itself, its float32 form, or the next one up or down in either type."""
    single = values.astype(np.float32)
    forms = [
        values,
        np.nextafter(values, np.inf),
        np.nextafter(values, -np.inf),
        single.astype(np.float64),
        np.nextafter(single, np.float32(np.inf)).astype(np.float64),
        np.nextafter(single, np.float32(-np.inf)).astype(np.float64),
    ]
    which = rng.integers(0, len(forms), len(values))
    return np.stack(forms)[which, np.arange(len(values))]


def _around_pipeline(pipeline: Any, count: int, width: int, rng: Rng) -> F64:
    """Half from what the last step reacts to, carried back; half from what the first one knows."""
    steps = [step for _, step in pipeline.steps if step is not None and step != "passthrough"]
    first = _around(steps[0], count, width, rng)
    inner = getattr(steps[-1], "n_features_in_", None)
    if len(steps) == 1 or inner is None:
        return first
    half = count // 2
    back: F64 | None = _around(steps[-1], half, int(inner), rng)
    for step in reversed(steps[:-1]):
        back = None if back is None else _carried_back(step, back, first[:half])
    if back is None or back.shape[1] != width:
        return first
    return rng.permutation(np.concatenate([back, first[: count - len(back)]]))


def _carried_back(step: Any, rows: F64, fallback: F64) -> F64 | None:
    """What a transformer would be given for its results to be ``rows``; None if nobody knows.

    ``fallback`` is rows of its inputs, taken for columns that it does not give back.
    """
    if step is None or step == "passthrough" or type(step).__name__ in _KEEPING:
        return rows
    if hasattr(step, "components_"):
        return None  # how a product rounds depends on the batch: no row is surely on a threshold
    if hasattr(step, "steps"):
        back: F64 | None = rows
        for _, inner in reversed(step.steps):
            back = None if back is None else _carried_back(inner, back, fallback)
        return back
    if hasattr(step, "transformers_"):
        return _back_through_columns(step, rows, fallback)
    try:
        return np.asarray(step.inverse_transform(rows), dtype=np.float64)
    except Exception:  # a library may raise anything on numbers that no row could have given
        return None


def _back_through_columns(step: Any, rows: F64, fallback: F64) -> F64:
    width = int(step.n_features_in_)
    found = fallback.copy() if fallback.shape[1] == width else np.zeros((len(rows), width))
    names = getattr(step, "feature_names_in_", None)
    labels = [str(name) for name in names] if names is not None else [""] * width
    for name, inner, selection in step.transformers_:
        places = sklearn_columns.places_of(selection, labels)
        given = rows[:, step.output_indices_[name]]
        if not places or (isinstance(inner, str) and inner == "drop") or not given.shape[1]:
            continue
        back = _carried_back(inner, given, found[:, places])
        if back is not None and back.shape == (len(rows), len(places)):
            found[:, places] = back
    return found


def _around_columns(transformer: Any, count: int, width: int, rng: Rng) -> F64:
    rows = rng.normal(size=(count, width))
    names = getattr(transformer, "feature_names_in_", None)
    labels = [str(name) for name in names] if names is not None else [""] * width
    for _, inner, selection in transformer.transformers_:
        places = sklearn_columns.places_of(selection, labels)
        if places and not isinstance(inner, str):
            rows[:, places] = _around(inner, count, len(places), rng)
    return rows


def _remembered(estimator: Any, width: int) -> F64 | None:
    """Training rows that the model keeps (neighbours, support vectors, centres)."""
    for name in ("_fit_X", "support_vectors_", "cluster_centers_", "theta_", "means_", "X_train_"):
        kept = getattr(estimator, name, None)
        if isinstance(kept, np.ndarray) and kept.ndim == 2 and kept.shape[1] == width and len(kept):
            return kept.astype(np.float64)
    return None


def _statistics(estimator: Any, width: int) -> tuple[Any, Any]:
    """Centre and scale of each column as far as the estimator knows them."""

    def known(name: str) -> F64 | None:
        value = getattr(estimator, name, None)
        right = isinstance(value, np.ndarray) and value.shape == (width,)
        return value.astype(np.float64) if right and value.dtype.kind in "fiu" else None  # type: ignore[union-attr]

    low, high = known("data_min_"), known("data_max_")
    if low is not None and high is not None:
        return (low + high) / 2, (high - low) / 2 + 1e-9
    center = next(
        (v for name in ("mean_", "center_", "statistics_") if (v := known(name)) is not None), None
    )
    scale = known("scale_")
    if center is None:
        center = np.zeros(width)
    if scale is None:
        scale = np.maximum(np.abs(center), 1.0)
        weights = getattr(estimator, "coef_", None)
        if isinstance(weights, np.ndarray) and weights.size and weights.shape[-1] == width:
            largest = np.abs(np.atleast_2d(weights)).max(axis=0)
            scale = np.minimum(1.0 / np.maximum(largest, 1e-6), 1e4)
    return center, scale


def table_for(served: Served, count: int = 24, seed: int = 0) -> list[Array]:
    """Rows of a model with text columns: one [count, 1] array per column, of values it knows."""
    rng = np.random.default_rng(seed)
    columns = served.columns or ()
    if served.is_text:
        words = rng.choice(["good", "bad", "some", "words", "here"], size=(count, 3))
        return [np.array([[" ".join(line)] for line in words], dtype=object)]
    known = sklearn_columns.known_values(served.estimator, len(columns))
    arrays: list[Array] = []
    for place, column in enumerate(columns):
        values = known.get(place)
        if column.dtype == "bool":
            arrays.append(rng.integers(0, 2, size=(count, 1)).astype(bool))
        elif column.dtype == "string":
            choice = rng.choice(np.array(values or ["a"], dtype=object), size=(count, 1))
            arrays.append(choice.astype(object))
        elif values:
            arrays.append(rng.choice(np.array(values, dtype=np.float64), size=(count, 1)))
        else:
            arrays.append(rng.normal(size=(count, 1)))
    return arrays
