"""scikit-learn's tree models as `TreeEnsemble`: trees, forests, both kinds of boosting."""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters.trees import (
    Comparison,
    Decision,
    Link,
    TreeBuilder,
    TreeEnsemble,
    UnconvertibleError,
)


def extract(estimator: Any) -> TreeEnsemble:
    """The trees of a fitted scikit-learn tree model.

    Raises:
        UnconvertibleError: The model is no tree ensemble, or uses what the form cannot express.
    """
    name = type(estimator).__name__
    if name.startswith("HistGradientBoosting"):
        return _hist_gradient_boosting(estimator)
    if name.startswith("GradientBoosting"):
        return _gradient_boosting(estimator)
    if name in _FORESTS:
        return _forest(estimator, list(estimator.estimators_))
    if name in _SINGLE_TREES:
        return _forest(estimator, [estimator])
    raise UnconvertibleError(f"{name} is no tree ensemble that the converter knows")


_FORESTS = (
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
)
_SINGLE_TREES = (
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
)


def is_tree_model(estimator: Any) -> bool:
    """Whether `extract` knows this class."""
    name = type(estimator).__name__
    from_here = type(estimator).__module__.startswith("sklearn.")
    return from_here and (
        name in _FORESTS + _SINGLE_TREES
        or name.startswith(("HistGradientBoosting", "GradientBoosting"))
    )


def _add_tree(builder: TreeBuilder, tree: Any, values: Any, output: int) -> None:
    missing_left = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))
    builder.add(
        feature=tree.feature,
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_left=np.asarray(missing_left, dtype=bool),
        leaf_value=values,
        output=output,
    )


def _forest(estimator: Any, members: list[Any]) -> TreeEnsemble:
    if estimator.n_outputs_ != 1:
        raise UnconvertibleError("it predicts several targets")
    classifies = hasattr(estimator, "classes_")
    width = len(estimator.classes_) if classifies else 1
    builder = TreeBuilder()
    for member in members:
        tree = member.tree_
        _add_tree(builder, tree, tree.value[:, 0, :width], -1 if width > 1 else 0)
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=width,
        comparison=Comparison.LE_F64_OF_F32,
        base=np.zeros(width),
        divisor=float(len(members)),
        decision=Decision.ARGMAX if classifies else None,
        **builder.arrays(),
    ).check()


def _gradient_boosting(estimator: Any) -> TreeEnsemble:
    init = estimator.init_
    if init != "zero" and not type(init).__name__.startswith("Dummy"):
        raise UnconvertibleError(f"its first guess is a model of its own ({type(init).__name__})")
    base = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))
    stages = estimator.estimators_
    builder = TreeBuilder()
    for stage in stages:
        for output, member in enumerate(stage):
            scaled = estimator.learning_rate * member.tree_.value[:, 0, 0]
            _add_tree(builder, member.tree_, scaled, output)
    link, scale, decision = Link.IDENTITY, 1.0, None
    if hasattr(estimator, "classes_"):
        link = Link.SIGMOID if stages.shape[1] == 1 else Link.SOFTMAX
        scale = 2.0 if estimator.loss == "exponential" else 1.0
        decision = Decision.SUM_FROM_0 if stages.shape[1] == 1 else Decision.ARGMAX_SUM
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=int(stages.shape[1]),
        comparison=Comparison.LE_F64_OF_F32,
        base=np.asarray(base, dtype=np.float64).reshape(-1),
        link=link,
        link_scale=scale,
        decision=decision,
        **builder.arrays(),
    ).check()


def _hist_gradient_boosting(estimator: Any) -> TreeEnsemble:
    if getattr(estimator, "is_categorical_", None) is not None:
        raise UnconvertibleError("it splits on categorical features")
    builder = TreeBuilder()
    for iteration in estimator._predictors:
        for output, predictor in enumerate(iteration):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            if (nodes["is_categorical"].astype(bool) & ~leaf).any():
                raise UnconvertibleError("it splits on categorical features")
            builder.add(
                feature=nodes["feature_idx"],
                threshold=nodes["num_threshold"],
                left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
                right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
                missing_left=nodes["missing_go_to_left"],
                leaf_value=nodes["value"],
                output=output,
            )
    width = int(estimator.n_trees_per_iteration_)
    link, decision = Link.IDENTITY, None
    if hasattr(estimator, "classes_"):
        link = Link.SIGMOID if width == 1 else Link.SOFTMAX
        decision = Decision.SUM_ABOVE_0 if width == 1 else Decision.ARGMAX_SUM
    elif type(estimator._loss.link).__name__ == "LogLink":
        link = Link.EXP
    elif type(estimator._loss.link).__name__ != "IdentityLink":
        raise UnconvertibleError(f"its link is {type(estimator._loss.link).__name__}")
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=width,
        comparison=Comparison.LE_F64,
        base=np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1),
        link=link,
        decision=decision,
        **builder.arrays(),
    ).check()
