"""scikit-learn's tree models as `TreeEnsemble`: which classes, and which function for each."""

from __future__ import annotations

from typing import Any

from slipstream.adapters import sklearn_boosting, sklearn_forests
from slipstream.adapters.sklearn_forests import BAGS, FORESTS, TREES, WEIGHTED, is_bag_of_trees
from slipstream.adapters.trees import TreeEnsemble, UnconvertibleError


def is_tree_model(estimator: Any) -> bool:
    """Whether the estimator itself is made of trees (not a pipeline or a stack of such)."""
    name = type(estimator).__name__
    if not type(estimator).__module__.startswith("sklearn."):
        return False
    if name in BAGS + WEIGHTED:
        return is_bag_of_trees(estimator)
    return name in (*FORESTS, *TREES, "IsolationForest") or name.startswith(
        ("HistGradientBoosting", "GradientBoosting")
    )


def extract(estimator: Any) -> TreeEnsemble:
    """A fitted tree model whose answer is what the ensemble's link and decision make of its sums.

    Raises:
        UnconvertibleError: The model is no tree ensemble, or its answer needs more than that (see
            `sums_of`).
    """
    name = type(estimator).__name__
    if name in (*WEIGHTED, "IsolationForest"):
        raise UnconvertibleError(f"the answer of {name} is more than a link of its sums")
    if getattr(estimator, "_preprocessor", None) is not None:
        raise UnconvertibleError("it splits on categorical features")
    if name in TREES + FORESTS and estimator.n_outputs_ != 1:
        raise UnconvertibleError("it predicts several targets")
    return sums_of(estimator)


def sums_of(estimator: Any) -> TreeEnsemble:
    """The trees of a fitted model, summed and divided; what else makes its answer is its own rule.

    The columns are those of a row, but for HistGradientBoosting with categorical features, where
    they are what ``_preprocessor`` gives.

    Raises:
        UnconvertibleError: The model is no tree ensemble, or uses what the form cannot express.
    """
    name = type(estimator).__name__
    if name.startswith("HistGradientBoosting"):
        return sklearn_boosting.hist_gradient_boosting(estimator)
    if name.startswith("GradientBoosting"):
        return sklearn_boosting.gradient_boosting(estimator)
    if name in TREES + FORESTS:
        return sklearn_forests.forest(estimator)
    if name == "IsolationForest":
        return sklearn_forests.isolation(estimator)
    if name in BAGS and is_bag_of_trees(estimator):
        return sklearn_forests.bag(estimator)
    if name == "AdaBoostClassifier" and is_bag_of_trees(estimator):
        return sklearn_forests.votes(estimator)
    if name == "AdaBoostRegressor" and is_bag_of_trees(estimator):
        return sklearn_forests.each_tree(estimator)
    raise UnconvertibleError(f"{name} is no tree ensemble that the converter knows")
