"""scikit-learn's forests as `TreeEnsemble`: averaged, bagged, isolating and voting trees.

Each function gives sums exactly as scikit-learn makes them with ``n_jobs=None``: member after
member in double, then divided. What follows the division is the caller's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters.trees import (
    Comparison,
    Decision,
    TreeBuilder,
    TreeEnsemble,
    UnconvertibleError,
)

TREES = (
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
)
FORESTS = (
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
)
BAGS = ("BaggingClassifier", "BaggingRegressor")
WEIGHTED = ("AdaBoostClassifier", "AdaBoostRegressor")


def is_tree(estimator: Any) -> bool:
    """Whether this is one tree of scikit-learn's own."""
    return type(estimator).__name__ in TREES and type(estimator).__module__.startswith("sklearn.")


def is_bag_of_trees(estimator: Any) -> bool:
    """Whether this is a Bagging or AdaBoost model all of whose members are trees."""
    known = type(estimator).__name__ in BAGS + WEIGHTED
    return known and all(is_tree(member) for member in estimator.estimators_)


def add_tree(
    builder: TreeBuilder, tree: Any, values: Any, output: int, features: Any = None
) -> None:
    """Append a ``tree_``; ``features`` are the columns of the row that are its own, in order."""
    feature = np.maximum(tree.feature, 0)
    builder.add(
        feature=feature if features is None else np.asarray(features)[feature],
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_left=np.asarray(tree.missing_go_to_left, dtype=bool),
        leaf_value=values,
        output=output,
    )


def class_counts(estimator: Any) -> list[int]:
    """Number of classes of each target; empty for a regressor."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return []
    return [len(part) for part in classes] if isinstance(classes, list) else [len(classes)]


def forest(estimator: Any) -> TreeEnsemble:
    """A tree or an averaging forest; several targets lie side by side in the outputs."""
    members = [estimator] if is_tree(estimator) else list(estimator.estimators_)
    counts = class_counts(estimator)
    targets = int(estimator.n_outputs_)
    width = sum(counts) if counts else targets
    builder = TreeBuilder()
    for member in members:
        value = member.tree_.value  # [nodes, targets, most classes]
        if counts:
            leaves = np.concatenate([value[:, k, :n] for k, n in enumerate(counts)], axis=1)
        else:
            leaves = value[:, :, 0]
        add_tree(builder, member.tree_, leaves, -1 if width > 1 else 0)
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=width,
        comparison=Comparison.LE_F64_OF_F32,
        base=np.zeros(width),
        divisor=float(len(members)),
        decision=Decision.ARGMAX if len(counts) == 1 else None,
        **builder.arrays(),
    ).check()


def bag(estimator: Any) -> TreeEnsemble:
    """Bagging over trees: each member sees columns of its own, and maybe not every class."""
    width = len(estimator.classes_) if hasattr(estimator, "classes_") else 1
    builder = TreeBuilder()
    for member, features in zip(estimator.estimators_, estimator.estimators_features_, strict=True):
        if member.n_outputs_ != 1:
            raise UnconvertibleError("it bags trees of several targets")
        value = member.tree_.value[:, 0, :]
        if hasattr(estimator, "classes_"):
            leaves = np.zeros((len(value), width))
            leaves[:, np.asarray(member.classes_, dtype=int)] = value[:, : len(member.classes_)]
        else:
            leaves = value[:, :1]
        add_tree(builder, member.tree_, leaves, -1 if width > 1 else 0, features)
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=width,
        comparison=Comparison.LE_F64_OF_F32,
        base=np.zeros(width),
        divisor=float(estimator.n_estimators),
        decision=Decision.ARGMAX if hasattr(estimator, "classes_") else None,
        **builder.arrays(),
    ).check()


def isolation(estimator: Any) -> TreeEnsemble:
    """An IsolationForest: the sum is the summed depth of a row, before any division."""
    builder = TreeBuilder()
    for member, features, path, rest in zip(
        estimator.estimators_,
        estimator.estimators_features_,
        estimator._decision_path_lengths,
        estimator._average_path_length_per_tree,
        strict=True,
    ):
        add_tree(builder, member.tree_, path + rest - 1.0, 0, features)
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=1,
        comparison=Comparison.LE_F64_OF_F32,
        **builder.arrays(),
    ).check()


def isolation_limit(estimator: Any) -> float:
    """The least summed depth at which an IsolationForest calls a row an inlier.

    Found by bisection over all doubles with scikit-learn's own formula, so that no other power
    function has to round as NumPy's does.
    """
    from sklearn.ensemble._iforest import _average_path_length

    trees = len(estimator.estimators_)
    denominator = trees * _average_path_length([estimator._max_samples])

    def is_inlier(depth: float) -> bool:
        depths = np.array([depth])
        scores = 2 ** (
            -np.divide(depths, denominator, out=np.ones_like(depths), where=denominator != 0)
        )
        return bool((-scores - estimator.offset_ >= 0)[0])

    low, high = -1.0, 1e6 * trees
    if is_inlier(low):
        return -np.inf
    if not is_inlier(high):
        return np.inf
    while np.nextafter(low, high) < high:
        middle = low + (high - low) / 2
        middle = middle if low < middle < high else float(np.nextafter(low, high))
        low, high = (low, middle) if is_inlier(middle) else (middle, high)
    return float(high)


def votes(estimator: Any) -> TreeEnsemble:
    """An AdaBoostClassifier over trees: summed votes of every class over the summed weights."""
    classes = estimator.classes_
    if len(classes) < 2:
        raise UnconvertibleError("it knows one class only")
    builder = TreeBuilder()
    for member, weight in zip(estimator.estimators_, estimator.estimator_weights_, strict=False):
        value = member.tree_.value[:, 0, :]
        label = member.classes_.take(np.argmax(value, axis=1))
        against = -1 / (len(classes) - 1) * weight
        leaves = np.where(label[:, None] == classes[None, :], weight, against)
        add_tree(builder, member.tree_, leaves, -1)
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=len(classes),
        comparison=Comparison.LE_F64_OF_F32,
        base=np.zeros(len(classes)),
        divisor=float(estimator.estimator_weights_.sum()),
        **builder.arrays(),
    ).check()


def each_tree(estimator: Any) -> TreeEnsemble:
    """An AdaBoostRegressor over trees: one output per member, not summed."""
    builder = TreeBuilder()
    for number, member in enumerate(estimator.estimators_):
        add_tree(builder, member.tree_, member.tree_.value[:, 0, 0], number)
    count = len(estimator.estimators_)
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=count,
        comparison=Comparison.LE_F64_OF_F32,
        base=np.zeros(count),
        **builder.arrays(),
    ).check()
