"""What scikit-learn tells about its models' decisions, as cases of the gate."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np

from exactness import sklearn_models
from exactness.counts import Array
from exactness.gate import Case
from exactness.rows import Facts, facts_of
from exactness.sklearn_models import Kind
from slipstream.adapters import sklearn, sklearn_trees
from slipstream.adapters.base import quiet

_MISSING = ("NaN in used columns", "NaN anywhere")


@cache
def forest_case(name: str) -> Case:
    """One of `sklearn_models.FORESTS`."""
    kind = sklearn_models.FORESTS[name]
    model = kind.fitted()
    return Case(
        library="sklearn",
        name=name,
        served=sklearn.serve(model),
        facts=_facts(model, kind, finite=True),
        trees=sklearn_trees.sums_of(model),
        raw=lambda rows: _sums(model, rows),
        leaves=lambda rows: _leaves(model, rows),
        refused=() if kind.takes_missing else _MISSING,
    )


@cache
def boosted_case(name: str) -> Case:
    """One of `sklearn_models.BOOSTED`."""
    kind = sklearn_models.BOOSTED[name]
    model = kind.fitted()
    histograms = type(model).__name__.startswith("Hist")

    def raw(rows: Array) -> Array:
        given = rows if histograms else rows.astype(np.float32)
        return np.ascontiguousarray(model._raw_predict(given))

    return Case(
        library="sklearn",
        name=name,
        served=sklearn.serve(model),
        facts=_facts(model, kind, finite=not histograms),
        trees=sklearn_trees.sums_of(model),
        raw=raw,
        leaves=None if histograms else lambda rows: model.apply(rows).reshape(len(rows), -1),
        refused=() if histograms else _MISSING,
    )


@cache
def behind_case(name: str) -> Case:
    """One of `sklearn_models.BEHIND_OTHERS`."""
    kind = sklearn_models.BEHIND_OTHERS[name]
    model = kind.fitted()
    return Case(
        library="sklearn",
        name=name,
        served=sklearn.serve(model),
        facts=_facts(model, kind, finite=not name.startswith("hist")),
        refused=("infinite",) if kind.takes_missing else _MISSING,  # encoders refuse infinity
    )


def _facts(model: Any, kind: Kind, *, finite: bool) -> Facts:
    """Thresholds by column; behind HistGradientBoosting's preprocessor numbers keep their order."""
    training = kind.training()
    if not sklearn_trees.is_tree_model(model) or getattr(model, "init", None) not in (None, "zero"):
        return Facts(training, ((),) * training.shape[1], {}, finite=finite)  # type: ignore[arg-type]
    found = facts_of(sklearn_trees.sums_of(model), training)
    thresholds, categories = found.thresholds, found.categories
    if getattr(model, "_preprocessor", None) is not None:
        numeric = [at for at in range(training.shape[1]) if not model.is_categorical_[at]]
        coded = np.flatnonzero(model.is_categorical_).tolist()
        by_column = dict(zip(coded + numeric, thresholds, strict=True))
        thresholds = tuple(by_column[at] for at in range(training.shape[1]))
        categories = {column: found.categories[at] for at, column in enumerate(coded)}
    return Facts(training, thresholds, categories, finite=finite)


def _sums(model: Any, rows: Array) -> Array:
    """The library's own sums, divided where it divides."""
    name = type(model).__name__
    with quiet():
        if name == "IsolationForest":
            return _depths(model, rows)
        if name == "AdaBoostClassifier":
            return _votes(model, rows)
        if name == "AdaBoostRegressor":
            return np.column_stack([member.predict(rows) for member in model.estimators_])
        if not hasattr(model, "predict_proba"):
            return np.asarray(model.predict(rows))
        tables = model.predict_proba(rows)
        return np.concatenate(tables, axis=1) if isinstance(tables, list) else np.asarray(tables)


def _depths(model: Any, rows: Array) -> Array:
    from sklearn.ensemble._iforest import _parallel_compute_tree_depths

    single = rows.astype(np.float32)
    depths = np.zeros(len(rows))
    every = model._max_features == rows.shape[1]
    for number, (member, features) in enumerate(
        zip(model.estimators_, model.estimators_features_, strict=True)
    ):
        _parallel_compute_tree_depths(
            member,
            single,
            None if every else features,
            model._decision_path_lengths[number],
            model._average_path_length_per_tree[number],
            depths,
            threading.Lock(),
        )
    return depths


def _votes(model: Any, rows: Array) -> Array:
    """Before two classes become one decision."""
    labels = model.classes_[:, None]
    count = len(model.classes_)
    votes = sum(
        np.where((member.predict(rows) == labels).T, weight, -1 / (count - 1) * weight)
        for member, weight in zip(model.estimators_, model.estimator_weights_, strict=False)
    )
    return np.asarray(votes / model.estimator_weights_.sum())


def _leaves(model: Any, rows: Array) -> Array:
    members = getattr(model, "estimators_", None)
    if members is None or hasattr(model, "apply"):
        return np.asarray(model.apply(rows)).reshape(len(rows), -1)
    columns = getattr(model, "estimators_features_", [np.arange(rows.shape[1])] * len(members))
    return np.column_stack(
        [
            member.tree_.apply(np.ascontiguousarray(rows[:, features].astype(np.float32)))
            for member, features in zip(members, columns, strict=True)
        ]
    )
