"""scikit-learn's two kinds of gradient boosting as `TreeEnsemble`."""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters.sklearn_forests import add_tree
from slipstream.adapters.trees import (
    Category,
    CategoryRule,
    Comparison,
    Decision,
    Link,
    TreeBuilder,
    TreeEnsemble,
    UnconvertibleError,
)


def starts_constant(estimator: Any) -> bool:
    """Whether the first guess of a GradientBoosting model is the same for every row."""
    init = estimator.init_
    return isinstance(init, str) or type(init).__name__ in ("DummyClassifier", "DummyRegressor")


def gradient_boosting(estimator: Any) -> TreeEnsemble:
    """A GradientBoosting model whose first guess is constant.

    Raises:
        UnconvertibleError: The first guess is a model of its own; see `gradient_boosting_stages`.
    """
    if not starts_constant(estimator):
        init = type(estimator.init_).__name__
        raise UnconvertibleError(f"its first guess is a model of its own ({init})")
    base = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))
    outputs = int(estimator.estimators_.shape[1])
    link, scale, decision = answer_of(estimator)
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=outputs,
        comparison=Comparison.LE_F64_OF_F32,
        base=np.asarray(base, dtype=np.float64).reshape(-1),
        link=link,
        link_scale=scale,
        decision=decision,
        **_stages(estimator, outputs, apart=False),
    ).check()


def gradient_boosting_stages(estimator: Any) -> TreeEnsemble:
    """The same with every stage apart: output ``stage * classes + class`` is one scaled leaf.

    What a first guess of its own is added to, stage after stage; link and decision are set as for
    the sums.
    """
    outputs = int(estimator.estimators_.size)
    link, scale, decision = answer_of(estimator)
    return TreeEnsemble(
        n_features=int(estimator.n_features_in_),
        n_outputs=outputs,
        comparison=Comparison.LE_F64_OF_F32,
        base=np.zeros(outputs),
        link=link,
        link_scale=scale,
        decision=decision,
        **_stages(estimator, int(estimator.estimators_.shape[1]), apart=True),
    ).check()


def _stages(estimator: Any, classes: int, *, apart: bool) -> dict[str, Any]:
    builder = TreeBuilder()
    for number, stage in enumerate(estimator.estimators_):
        for output, member in enumerate(stage):
            scaled = estimator.learning_rate * member.tree_.value[:, 0, 0]
            add_tree(builder, member.tree_, scaled, number * classes + output if apart else output)
    return builder.arrays()


def answer_of(estimator: Any) -> tuple[Link, float, Decision | None]:
    """(link, scale, decision) of a GradientBoosting model."""
    if not hasattr(estimator, "classes_"):
        return Link.IDENTITY, 1.0, None
    if estimator.estimators_.shape[1] > 1:
        return Link.SOFTMAX, 1.0, Decision.ARGMAX_SUM
    return Link.SIGMOID, 2.0 if estimator.loss == "exponential" else 1.0, Decision.SUM_FROM_0


def hist_gradient_boosting(estimator: Any) -> TreeEnsemble:
    """A HistGradientBoosting model over the columns that its preprocessor gives.

    Without categorical features there is no preprocessor, and the columns are the row. With them
    the preprocessor puts them first, as codes; see ``estimator._preprocessor``.
    """
    categories = _categories(estimator)
    builder = TreeBuilder()
    sets: list[Any] = []
    for iteration in estimator._predictors:
        for output, predictor in enumerate(iteration):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            builder.add(
                feature=nodes["feature_idx"],
                threshold=nodes["num_threshold"],
                left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
                right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
                missing_left=nodes["missing_go_to_left"],
                leaf_value=nodes["value"],
                output=output,
                category_set=_sets_of(predictor, categories, sets),
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
        category_sets=tuple(sets),
        categories=categories,
        base=np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1),
        link=link,
        decision=decision,
        **builder.arrays(),
    ).check()


def _categories(estimator: Any) -> dict[int, Category]:
    """The categorical columns, each with the codes that training saw."""
    remapped = getattr(estimator, "_is_categorical_remapped", None)
    if remapped is None:
        return {}
    found = {}
    for feature in np.flatnonzero(remapped).tolist():
        codes = np.asarray(estimator._bin_mapper.bin_thresholds_[feature], dtype=np.int64)
        known = np.zeros(int(codes.max(initial=0)) + 1, dtype=bool)
        known[codes] = True
        found[feature] = Category(count=len(known), rule=CategoryRule.KNOWN, known=known)
    return found


def _sets_of(predictor: Any, categories: dict[int, Category], sets: list[Any]) -> Any:
    """i32[nodes] for `TreeBuilder.add`; appends the sets of this tree to ``sets``."""
    nodes = predictor.nodes
    found = np.full(len(nodes), -1, dtype=np.int32)
    split = nodes["is_categorical"].astype(bool) & ~nodes["is_leaf"].astype(bool)
    for node in np.flatnonzero(split).tolist():
        category = categories.get(int(nodes["feature_idx"][node]))
        if category is None:
            raise UnconvertibleError("it splits a column on categories that it does not list")
        words = np.asarray(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]])
        bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little").astype(bool)
        members = np.zeros(category.count + 2, dtype=bool)
        members[: category.count] = bits[: category.count]
        members[category.count :] = bool(nodes["missing_go_to_left"][node])
        found[node] = len(sets)
        sets.append(members)
    return found
