"""scikit-learn estimators to ONNX nodes, in double and in the library's own order of operations.

Each transformer is a function in `_TRANSFORMERS`, each predictor one in `_PREDICTORS`; composition
(pipelines, column transformers, voting, stacking) is recursion. What is not here goes to skl2onnx
(`slipstream.convert.onnx_skl2onnx`); nothing serves before `slipstream.convert.proof` agreed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from slipstream.adapters import lightgbm, sklearn_columns, sklearn_trees, xgboost
from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert import onnx_trees
from slipstream.convert.onnx_graph import Graph

_AXIS_1 = np.array([1], dtype=np.int64)


@dataclass(frozen=True)
class Answer:
    """Names of the values that a predictor gives.

    ``predictions`` is i64[n] class positions for a classifier, else [n] or [n, targets];
    ``probabilities`` [n, classes] or None.
    """

    predictions: str
    probabilities: str | None
    dtype: Any = np.float64


def emit(graph: Graph, rows: str, estimator: Any) -> Answer:
    """Add a fitted estimator or pipeline; ``rows`` is f64[n, width].

    Raises:
        UnconvertibleError: Some part of it has no rule here.
    """
    name = type(estimator).__name__
    for library in (sklearn_trees, xgboost, lightgbm):
        if library.is_tree_model(estimator):
            trees = library.extract(estimator)
            dtype = np.float32 if trees.float32_answers else np.float64
            return Answer(*onnx_trees.emit(graph, rows, trees), dtype=dtype)
    if hasattr(estimator, "best_estimator_"):
        return emit(graph, rows, estimator.best_estimator_)
    if name == "Pipeline":
        for _, step in estimator.steps[:-1]:
            rows = transform(graph, rows, step)
        return emit(graph, rows, estimator.steps[-1][1])
    rule = _PREDICTORS.get(name)
    if rule is None or not type(estimator).__module__.startswith("sklearn."):
        raise UnconvertibleError(f"{name} has no rule of our own")
    return rule(graph, rows, estimator)


def transform(graph: Graph, rows: str, step: Any) -> str:
    """Add a fitted transformer: f64[n, width] -> f64[n, new width]."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return rows
    name = type(step).__name__
    if name == "Pipeline":
        for _, inner in step.steps:
            rows = transform(graph, rows, inner)
        return rows
    rule = _TRANSFORMERS.get(name)
    if rule is None and hasattr(step, "get_support"):
        rule = _selection
    if rule is None or not type(step).__module__.startswith("sklearn."):
        raise UnconvertibleError(f"{name} has no rule of our own")
    return rule(graph, rows, step)


def _row(graph: Graph, values: Any) -> str:
    array = np.asarray(values)
    if array.dtype == np.float32:
        raise UnconvertibleError("it was fitted in float32")
    return graph.constant(array.astype(np.float64))


def _standard_scaler(graph: Graph, rows: str, step: Any) -> str:
    if step.with_mean:
        rows = graph.op("Sub", rows, _row(graph, step.mean_))
    return graph.op("Div", rows, _row(graph, step.scale_)) if step.with_std else rows


def _robust_scaler(graph: Graph, rows: str, step: Any) -> str:
    if step.with_centering:
        rows = graph.op("Sub", rows, _row(graph, step.center_))
    return graph.op("Div", rows, _row(graph, step.scale_)) if step.with_scaling else rows


def _min_max_scaler(graph: Graph, rows: str, step: Any) -> str:
    rows = graph.op("Mul", rows, _row(graph, step.scale_))
    rows = graph.op("Add", rows, _row(graph, step.min_))
    if step.clip:
        low, high = (graph.constant(np.float64(edge)) for edge in step.feature_range)
        rows = graph.op("Clip", rows, low, high)
    return rows


def _max_abs_scaler(graph: Graph, rows: str, step: Any) -> str:
    if getattr(step, "clip", False):
        raise UnconvertibleError("MaxAbsScaler(clip=True) has no rule of our own")
    return graph.op("Div", rows, _row(graph, step.scale_))


def _simple_imputer(graph: Graph, rows: str, step: Any) -> str:
    missing = step.missing_values
    if not (isinstance(missing, float) and np.isnan(missing)) or step.add_indicator:
        raise UnconvertibleError("SimpleImputer with other missing values or an indicator")
    statistics = np.asarray(step.statistics_)
    if statistics.dtype.kind != "f" or np.isnan(statistics).any():
        raise UnconvertibleError("SimpleImputer over columns that are empty or no numbers")
    return graph.op("Where", graph.op("IsNaN", rows), _row(graph, statistics), rows)


def _pca(graph: Graph, rows: str, step: Any) -> str:
    rows = graph.op("Sub", rows, _row(graph, step.mean_))
    rows = graph.op("MatMul", rows, _row(graph, step.components_.T))
    if step.whiten:
        rows = graph.op("Div", rows, _row(graph, np.sqrt(step.explained_variance_)))
    return rows


def _selection(graph: Graph, rows: str, step: Any) -> str:
    kept = graph.constant(np.flatnonzero(step.get_support()), np.int64)
    return graph.op("Gather", rows, kept, axis=1)


def _column_transformer(graph: Graph, rows: str, step: Any) -> str:
    if step.sparse_output_:
        raise UnconvertibleError("its columns are stacked into a sparse matrix")
    names = getattr(step, "feature_names_in_", None)
    labels = [str(n) for n in names] if names is not None else [""] * step.n_features_in_
    parts = []
    for _, inner, selection in step.transformers_:
        places = sklearn_columns.places_of(selection, labels)
        if (isinstance(inner, str) and inner == "drop") or not places:
            continue
        chosen = graph.op("Gather", rows, graph.constant(places, np.int64), axis=1)
        part = transform(graph, chosen, inner)
        weight = (step.transformer_weights or {}).get(_)
        if weight is not None:
            part = graph.op("Mul", part, graph.constant(np.float64(weight)))
        parts.append(part)
    return graph.op("Concat", *parts, axis=1)


def _scores(graph: Graph, rows: str, estimator: Any) -> str:
    """f64[n, outputs]: rows @ coef.T + intercept."""
    coef = np.atleast_2d(np.asarray(estimator.coef_))
    if coef.dtype != np.float64:
        raise UnconvertibleError("it was fitted in float32")
    intercept = np.atleast_1d(np.asarray(estimator.intercept_, dtype=np.float64))
    product = graph.op("MatMul", rows, graph.constant(coef.T))
    return graph.op("Add", product, graph.constant(intercept))


def _sigmoid(graph: Graph, value: str) -> str:
    one = graph.constant(np.float64(1.0))
    return graph.op("Div", one, graph.op("Add", graph.op("Exp", graph.op("Neg", value)), one))


def _softmax(graph: Graph, value: str) -> str:
    axis = graph.constant(_AXIS_1)
    powers = graph.op("Exp", graph.op("Sub", value, graph.op("ReduceMax", value, axis)))
    return graph.op("Div", powers, graph.op("ReduceSum", powers, axis))


def _both(graph: Graph, positive: str) -> str:
    """[n, 1] probability of the second class -> [n, 2]."""
    rest = graph.op("Sub", graph.constant(np.float64(1.0)), positive)
    return graph.op("Concat", rest, positive, axis=1)


def _argmax(graph: Graph, value: str) -> str:
    return graph.op("ArgMax", value, axis=1, keepdims=0)


def _above(graph: Graph, value: str, limit: float) -> str:
    hit = graph.op("Greater", value, graph.constant(np.float64(limit)))
    return graph.flat(graph.cast(hit, np.int64))


def _linear_classifier(graph: Graph, rows: str, estimator: Any) -> Answer:
    """LogisticRegression and the linear classifiers without probabilities."""
    scores = _scores(graph, rows, estimator)
    binary = len(estimator.classes_) == 2
    labels = _above(graph, scores, 0.0) if binary else _argmax(graph, scores)
    if not type(estimator).__name__.startswith("LogisticRegression"):
        if hasattr(estimator, "predict_proba"):
            raise UnconvertibleError("its probabilities have no rule of our own")
        return Answer(labels, None)
    if binary:
        return Answer(labels, _both(graph, _sigmoid(graph, scores)))
    return Answer(labels, _softmax(graph, scores))


def _linear_regressor(graph: Graph, rows: str, estimator: Any) -> Answer:
    scores = _scores(graph, rows, estimator)
    return Answer(graph.flat(scores) if np.ndim(estimator.coef_) == 1 else scores, None)


def _layers(graph: Graph, rows: str, estimator: Any) -> str:
    """The last layer of a multi-layer perceptron, before its output activation."""
    value = rows
    last = len(estimator.coefs_) - 1
    for number, (weight, bias) in enumerate(
        zip(estimator.coefs_, estimator.intercepts_, strict=True)
    ):
        value = graph.op("MatMul", value, _row(graph, weight))
        value = graph.op("Add", value, _row(graph, bias))
        if number < last:
            value = _activate(graph, value, estimator.activation)
    return value


def _activate(graph: Graph, value: str, activation: str) -> str:
    if activation == "relu":
        return graph.op("Relu", value)
    if activation == "tanh":
        return graph.op("Tanh", value)
    return _sigmoid(graph, value) if activation == "logistic" else value


def _mlp_classifier(graph: Graph, rows: str, estimator: Any) -> Answer:
    value = _layers(graph, rows, estimator)
    if estimator.out_activation_ == "softmax":
        probabilities = _softmax(graph, value)
        return Answer(_argmax(graph, probabilities), probabilities)
    if len(estimator.classes_) != 2 or estimator.n_outputs_ != 1:
        raise UnconvertibleError("it predicts several labels")
    positive = _sigmoid(graph, value)
    return Answer(_above(graph, positive, 0.5), _both(graph, positive))


def _mlp_regressor(graph: Graph, rows: str, estimator: Any) -> Answer:
    if estimator.out_activation_ != "identity":
        raise UnconvertibleError("its output activation has no rule of our own")
    value = _layers(graph, rows, estimator)
    return Answer(graph.flat(value) if estimator.n_outputs_ == 1 else value, None)


def _double(graph: Graph, value: str, answer: Answer) -> str:
    return value if answer.dtype is np.float64 else graph.cast(value, np.float64)


def _weighted_mean(graph: Graph, values: list[str], weights: Any) -> str:
    shares = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = ""
    for value, share in zip(values, shares, strict=True):
        part = graph.op("Mul", value, graph.constant(np.float64(share)))
        total = graph.op("Add", total, part) if total else part
    return graph.op("Div", total, graph.constant(np.float64(shares.sum())))


def _voting_classifier(graph: Graph, rows: str, estimator: Any) -> Answer:
    if estimator.voting != "soft":
        raise UnconvertibleError("hard voting has no rule of our own")
    members = [emit(graph, rows, member) for member in estimator.estimators_]
    values = []
    for member in members:
        if member.probabilities is None:
            raise UnconvertibleError("a member has no probabilities")
        values.append(_double(graph, member.probabilities, member))
    mean = _weighted_mean(graph, values, estimator._weights_not_none)
    return Answer(_argmax(graph, mean), mean)


def _voting_regressor(graph: Graph, rows: str, estimator: Any) -> Answer:
    members = [emit(graph, rows, member) for member in estimator.estimators_]
    values = [_double(graph, member.predictions, member) for member in members]
    return Answer(_weighted_mean(graph, values, estimator._weights_not_none), None)


def _stacked(graph: Graph, rows: str, estimator: Any) -> str:
    """What the final estimator of a stack sees."""
    parts = []
    for member, method in zip(estimator.estimators_, estimator.stack_method_, strict=True):
        answer = emit(graph, rows, member)
        if method == "predict_proba" and answer.probabilities is not None:
            value = _double(graph, answer.probabilities, answer)
            if len(member.classes_) == 2:
                value = graph.op("Gather", value, graph.constant(_AXIS_1), axis=1)
        elif (
            method == "predict" and answer.probabilities is None and not hasattr(member, "classes_")
        ):
            value = graph.column(_double(graph, answer.predictions, answer))
        else:
            raise UnconvertibleError(f"stacking on {method} has no rule of our own")
        parts.append(value)
    if estimator.passthrough:
        parts.append(rows)
    return graph.op("Concat", *parts, axis=1)


def _stacking(graph: Graph, rows: str, estimator: Any) -> Answer:
    return emit(graph, _stacked(graph, rows, estimator), estimator.final_estimator_)


_TRANSFORMERS: dict[str, Callable[[Graph, str, Any], str]] = {
    "StandardScaler": _standard_scaler,
    "RobustScaler": _robust_scaler,
    "MinMaxScaler": _min_max_scaler,
    "MaxAbsScaler": _max_abs_scaler,
    "SimpleImputer": _simple_imputer,
    "PCA": _pca,
    "ColumnTransformer": _column_transformer,
}

_PREDICTORS: dict[str, Callable[[Graph, str, Any], Answer]] = {
    **dict.fromkeys(
        (
            "LogisticRegression",
            "LogisticRegressionCV",
            "RidgeClassifier",
            "RidgeClassifierCV",
            "LinearSVC",
            "SGDClassifier",
            "Perceptron",
            "PassiveAggressiveClassifier",
        ),
        _linear_classifier,
    ),
    **dict.fromkeys(
        (
            "LinearRegression",
            "Ridge",
            "RidgeCV",
            "Lasso",
            "LassoCV",
            "ElasticNet",
            "ElasticNetCV",
            "SGDRegressor",
            "LinearSVR",
            "BayesianRidge",
            "ARDRegression",
            "HuberRegressor",
            "Lars",
            "LassoLars",
            "OrthogonalMatchingPursuit",
        ),
        _linear_regressor,
    ),
    "MLPClassifier": _mlp_classifier,
    "MLPRegressor": _mlp_regressor,
    "VotingClassifier": _voting_classifier,
    "VotingRegressor": _voting_regressor,
    "StackingClassifier": _stacking,
    "StackingRegressor": _stacking,
}
