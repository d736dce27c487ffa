"""Rules for linear predictors, and for those that answer the same for every row."""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert.forest_emitter import Answer, Columns, Emitter, Predictor
from slipstream.convert.forest_file import Op, Value
from slipstream.convert.forest_ops import Function
from slipstream.convert.forest_trees import SOFTMAX_SKLEARN, above

_EVEN_IF_ZERO = 0


def scores(emitter: Emitter, columns: Columns, estimator: Any) -> Value:
    """[outputs]: ``rows @ coef.T + intercept``."""
    if columns.single and np.asarray(estimator.coef_).dtype == np.float32:
        raise UnconvertibleError(f"{type(estimator).__name__} would compute in float32")
    coef = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    intercept = np.atleast_1d(np.asarray(estimator.intercept_, dtype=np.float64))
    product = emitter.matmul(emitter.numbers(columns), coef.T)
    return emitter.per_column(Op.ADD, product, intercept)


def chosen(emitter: Emitter, decision: Value) -> Value:
    """i64: the class that a decision function of scikit-learn's linear models chooses."""
    if decision.width == 1:
        return above(emitter, decision, 0.0)
    return emitter.once(Op.ARGMAX, decision)


def _classifier(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    decision = scores(emitter, columns, estimator)
    probabilities: tuple[Value, ...] = ()
    if hasattr(estimator, "predict_proba"):
        probabilities = (_probabilities(emitter, decision, estimator),)
    return Answer(
        classes=(np.asarray(estimator.classes_),),
        labels=(chosen(emitter, decision),),
        probabilities=probabilities,
        decision=decision,
    )


def _probabilities(emitter: Emitter, decision: Value, estimator: Any) -> Value:
    name = type(estimator).__name__
    if name.startswith("LogisticRegression"):
        if decision.width == 1:
            return _positive(emitter, emitter.function(Function.EXPIT, decision))
        return emitter.once(Op.SOFTMAX, decision, scalars=[SOFTMAX_SKLEARN])
    if name != "SGDClassifier":
        raise UnconvertibleError(f"the probabilities of {name} have no rule of our own")
    if estimator.loss == "log_loss":
        each = emitter.function(Function.EXPIT, decision)
    else:
        each = emitter.once(Op.CLIP, decision, scalars=[-1.0, 1.0])
        each = emitter.per_column(Op.ADD, each, 1.0)
        each = emitter.per_column(Op.DIVIDE, each, 2.0)
    if each.width == 1:
        return _positive(emitter, each)
    return emitter.once(Op.NORMALIZE, each, scalars=[_EVEN_IF_ZERO])


def _positive(emitter: Emitter, probability: Value) -> Value:
    return emitter.once(Op.COMPLEMENT, probability)


def _regressor(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    value = scores(emitter, columns, estimator)
    return Answer(values=value, flat=np.ndim(estimator.coef_) == 1)


def _generalized(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    """PoissonRegressor, GammaRegressor, TweedieRegressor."""
    value = scores(emitter, columns, estimator)
    link = type(estimator._base_loss.link).__name__
    if link == "LogLink":
        value = emitter.function(Function.EXP, value)
    elif link != "IdentityLink":
        raise UnconvertibleError(f"{type(estimator).__name__} with {link} has no rule")
    return Answer(values=value)


def _dummy_classifier(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    if estimator.strategy not in ("prior", "most_frequent", "constant"):
        raise UnconvertibleError(f"DummyClassifier({estimator.strategy!r}) answers at random")
    if estimator.n_outputs_ != 1:
        raise UnconvertibleError("DummyClassifier of several targets has no rule")
    row = np.zeros((1, max(len(columns), 1)))
    table = emitter.constant(columns, estimator.predict_proba(row)[0])
    label = emitter.once(Op.ARGMAX, table)
    return Answer(
        classes=(np.asarray(estimator.classes_),), labels=(label,), probabilities=(table,)
    )


def _dummy_regressor(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    constant = np.asarray(estimator.constant_, dtype=np.float64).reshape(-1)
    return Answer(values=emitter.constant(columns, constant), flat=estimator.n_outputs_ == 1)


CLASSIFIERS = (
    "LogisticRegression",
    "LogisticRegressionCV",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "LinearSVC",
    "SGDClassifier",
    "Perceptron",
    "PassiveAggressiveClassifier",
)
REGRESSORS = (
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
    "QuantileRegressor",
    "Lars",
    "LarsCV",
    "LassoLars",
    "LassoLarsCV",
    "OrthogonalMatchingPursuit",
    "MultiTaskLasso",
    "MultiTaskElasticNet",
    "TheilSenRegressor",
)
RULES: dict[str, Predictor] = {
    **dict.fromkeys(CLASSIFIERS, _classifier),
    **dict.fromkeys(REGRESSORS, _regressor),
    **dict.fromkeys(("PoissonRegressor", "GammaRegressor", "TweedieRegressor"), _generalized),
    "DummyClassifier": _dummy_classifier,
    "DummyRegressor": _dummy_regressor,
}
