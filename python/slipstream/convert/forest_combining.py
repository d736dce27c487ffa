"""Rules for predictors made of predictors: calibration, voting, stacking, one-vs-rest, targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters.trees import UnconvertibleError
from slipstream.convert.forest_emitter import Answer, Columns, Emitter, Predictor
from slipstream.convert.forest_file import Op, Value
from slipstream.convert.forest_ops import Function
from slipstream.convert.forest_scaling import applied
from slipstream.convert.forest_trees import SOFTMAX_SKLEARN, above

_EVEN_IF_ZERO, _AS_IT_IS = 0, 1


def _summed(emitter: Emitter, values: list[Value], weights: Any = None) -> Value:
    """Added one after the other, each multiplied by its weight first."""
    total = None
    for place, value in enumerate(values):
        if weights is not None:
            value = emitter.per_column(Op.MULTIPLY, value, float(weights[place]))
        total = value if total is None else emitter.once(Op.ADD, total, value)
    if total is None:
        raise UnconvertibleError("it has no members")
    return total


def _mean(emitter: Emitter, values: list[Value], weights: Any) -> Value:
    """``numpy.average`` over members."""
    if weights is None and all(value.kind == "float32" for value in values):
        return _mean_of_floats(emitter, values)
    doubles = [emitter.cast(value, "float64") for value in values]
    shares = None if weights is None else np.asarray(weights, dtype=np.float64)
    divisor = len(values) if shares is None else float(shares.sum())
    return emitter.per_column(Op.DIVIDE, _summed(emitter, doubles, shares), divisor)


def _mean_of_floats(emitter: Emitter, values: list[Value]) -> Value:
    """Added and divided in float32, in the members' order.

    Each operation is made in float64 and rounded: a sum or quotient of two float32 loses nothing by
    the first rounding (Figueroa, "When is double rounding innocuous?", SIGNUM 1995).
    """
    total = values[0]
    for value in values[1:]:
        both = emitter.once(Op.ADD, emitter.cast(total, "float64"), emitter.cast(value, "float64"))
        total = emitter.cast(both, "float32")
    mean = emitter.per_column(Op.DIVIDE, emitter.cast(total, "float64"), float(len(values)))
    return emitter.cast(mean, "float32")


def _probabilities_of(answer: Answer) -> Value:
    if len(answer.probabilities) != 1:
        raise UnconvertibleError("a member has no probabilities")
    return answer.probabilities[0]


def _voting_classifier(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    members = [emitter.predict(columns, member) for member in estimator.estimators_]
    classes = np.asarray(estimator.classes_)
    weights = estimator._weights_not_none
    if estimator.voting == "soft":
        mean = _mean(emitter, [_probabilities_of(member) for member in members], weights)
        label = emitter.once(Op.ARGMAX, mean)
        return Answer(classes=(classes,), labels=(label,), probabilities=(mean,))
    votes = []
    for member in members:
        if len(member.labels) != 1:
            raise UnconvertibleError("a member does not classify one target")
        place = _encoded_label(emitter, member)
        votes.append(emitter.once(Op.ONE_HOT, place, scalars=[len(classes), 0]))
    label = emitter.once(Op.ARGMAX, _summed(emitter, votes, weights))
    return Answer(classes=(classes,), labels=(label,))


def _encoded_label(emitter: Emitter, member: Answer) -> Value:
    """f64: the label that a member answers, which is a number where members see encoded labels."""
    labels = member.classes[0]
    if labels.dtype.kind not in "iu":
        raise UnconvertibleError("a member answers labels that are no class numbers")
    table = [labels.astype(np.float64)]
    return emitter.once(Op.LABEL_NUMBER, member.labels[0], arrays=table)


def _values_of(emitter: Emitter, answer: Answer) -> Value:
    if answer.values is None or answer.values.kind == "int64":
        raise UnconvertibleError("a member is no regressor")
    return answer.values


def _voting_regressor(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    values = [
        _values_of(emitter, emitter.predict(columns, member)) for member in estimator.estimators_
    ]
    return Answer(values=_mean(emitter, values, estimator._weights_not_none))


def _bagging(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    """Bagging over anything: each member sees its own columns."""
    members = [
        emitter.predict(columns.take(np.asarray(features).tolist()), member)
        for member, features in zip(
            estimator.estimators_, estimator.estimators_features_, strict=True
        )
    ]
    if not hasattr(estimator, "classes_"):
        values = [emitter.cast(_values_of(emitter, member), "float64") for member in members]
        total = _summed(emitter, values)
        return Answer(values=emitter.per_column(Op.DIVIDE, total, estimator.n_estimators))
    classes = np.asarray(estimator.classes_)
    tables = []
    for member in members:
        if not np.array_equal(member.classes[0], np.arange(len(classes))):
            raise UnconvertibleError("a bagged member has not seen every class")
        tables.append(emitter.cast(_probabilities_of(member), "float64"))
    mean = emitter.per_column(Op.DIVIDE, _summed(emitter, tables), estimator.n_estimators)
    label = emitter.once(Op.ARGMAX, mean)
    return Answer(classes=(classes,), labels=(label,), probabilities=(mean,))


def _stacked(emitter: Emitter, columns: Columns, estimator: Any) -> Columns:
    """What the final estimator of a stack sees."""
    parts = []
    classes = getattr(estimator, "classes_", ())
    if isinstance(classes, list):
        raise UnconvertibleError("a stack of several targets has no rule of our own")
    members = [member for member in estimator.estimators_ if not isinstance(member, str)]
    for member, method in zip(members, estimator.stack_method_, strict=True):
        answer = emitter.predict(columns, member)
        if method == "predict_proba":
            value = _probabilities_of(answer)
            if len(classes) == 2:
                value = emitter.take(value, [1])
        elif method == "decision_function" and answer.decision is not None:
            value = answer.decision
        elif method == "predict" and answer.labels:
            value = _encoded_label(emitter, answer)
        elif method == "predict" and answer.values is not None:
            value = answer.values
        else:
            raise UnconvertibleError(f"stacking on {method} has no rule of our own")
        single = value.kind == "float32"
        parts.append(emitter.columns_of(emitter.cast(value, "float64"), single=single))
    if estimator.passthrough:
        parts.append(columns)
    return Columns(()).joined(parts, sparse=bool(estimator.passthrough and columns.sparse))


def _stacking(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    answer = emitter.predict(_stacked(emitter, columns, estimator), estimator.final_estimator_)
    if not answer.labels:
        return answer
    classes = np.asarray(estimator.classes_)
    if len(answer.classes[0]) != len(classes):
        raise UnconvertibleError("its final estimator knows other classes")
    return Answer(
        classes=(classes,),
        labels=answer.labels,
        probabilities=answer.probabilities,
        decision=answer.decision,
    )


def _calibrated(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    classes = np.asarray(estimator.classes_)
    members = estimator.calibrated_classifiers_
    tables = [_calibrated_one(emitter, columns, member) for member in members]
    mean = emitter.per_column(Op.DIVIDE, _summed(emitter, tables), len(members))
    label = emitter.once(Op.ARGMAX, mean)
    return Answer(classes=(classes,), labels=(label,), probabilities=(mean,))


def _calibrated_one(emitter: Emitter, columns: Columns, member: Any) -> Value:
    """[classes]: one fold's classifier with its calibrators."""
    answer = emitter.predict(columns, member.estimator)
    classes = np.asarray(member.classes)
    decision = answer.decision
    if decision is None:
        table = _probabilities_of(answer)
        decision = emitter.take(table, [1]) if len(classes) == 2 else table
    if decision.kind == "float32":
        raise UnconvertibleError("it calibrates probabilities in float32")
    if member.method == "temperature":
        return _tempered(emitter, decision, answer, member.calibrators[0])
    if not np.array_equal(np.asarray(member.estimator.classes_), classes):
        raise UnconvertibleError("a calibrated member has not seen every class")
    parts = [
        _calibrate(emitter, emitter.take(decision, [place]), calibrator)
        for place, calibrator in enumerate(member.calibrators)
    ]
    if len(classes) == 2:
        table = emitter.once(Op.COMPLEMENT, parts[0])
    else:
        table = emitter.once(Op.NORMALIZE, emitter.concat(parts), scalars=[_EVEN_IF_ZERO])
    return emitter.once(Op.CLIP, table, scalars=[-np.inf, 1.0])


def _calibrate(emitter: Emitter, value: Value, calibrator: Any) -> Value:
    if hasattr(calibrator, "a_"):
        value = emitter.per_column(Op.MULTIPLY, value, calibrator.a_)
        value = emitter.per_column(Op.ADD, value, calibrator.b_)
        return emitter.function(Function.EXPIT, emitter.function(Function.NEGATE, value))
    knots, heights = np.asarray(calibrator.X_thresholds_), np.asarray(calibrator.y_thresholds_)
    if calibrator.out_of_bounds != "clip" or knots.dtype != np.float64:
        raise UnconvertibleError("it interpolates in float32, or not beyond its ends")
    return emitter.once(Op.INTERPOLATE, value, arrays=[knots, heights.astype(np.float64)])


def _tempered(emitter: Emitter, decision: Value, answer: Answer, calibrator: Any) -> Value:
    """Temperature scaling: softmax(beta * logits)."""
    if answer.decision is None:
        if decision.width == 1:
            decision = emitter.once(Op.COMPLEMENT, decision)
        logits = emitter.function(Function.LOG, emitter.per_column(Op.ADD, decision, 1e-12))
    elif decision.width == 1:
        logits = emitter.concat([emitter.function(Function.NEGATE, decision), decision])
    else:
        logits = decision  # numbers between 0 and 1 that sum to 1 would be taken as probabilities
    scaled = emitter.per_column(Op.MULTIPLY, logits, float(calibrator.beta_))
    return emitter.once(Op.SOFTMAX, scaled, scalars=[SOFTMAX_SKLEARN])


def _one_vs_rest(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    if estimator.multilabel_:
        raise UnconvertibleError("one-vs-rest of several labels has no rule of our own")
    classes = np.asarray(estimator.classes_)
    members = [emitter.predict(columns, member) for member in estimator.estimators_]
    scores = [_binary_score(emitter, member) for member in members]
    if len(members) == 1:
        has_decision = members[0].decision is not None
        label = above(emitter, scores[0], 0.0 if has_decision else 0.5)
    else:
        label = emitter.once(Op.ARGMAX, emitter.concat(scores))
    probabilities: tuple[Value, ...] = ()
    if all(member.probabilities for member in members):
        shares = [emitter.take(_probabilities_of(member), [1]) for member in members]
        table = emitter.concat(shares)
        if len(members) == 1:
            table = emitter.once(Op.COMPLEMENT, table)
        probabilities = (emitter.once(Op.NORMALIZE, table, scalars=[_AS_IT_IS]),)
    return Answer(classes=(classes,), labels=(label,), probabilities=probabilities)


def _binary_score(emitter: Emitter, member: Answer) -> Value:
    if not member.labels or len(member.classes[0]) != 2:
        raise UnconvertibleError("a member of one-vs-rest is no classifier of two classes")
    if member.decision is not None:
        return member.decision
    return emitter.take(_probabilities_of(member), [1])


def _multi_classifier(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    members = [emitter.predict(columns, member) for member in estimator.estimators_]
    if any(len(member.labels) != 1 for member in members):
        raise UnconvertibleError("a target is no classification")
    has_all = all(member.probabilities for member in members)
    return Answer(
        classes=tuple(member.classes[0] for member in members),
        labels=tuple(member.labels[0] for member in members),
        probabilities=tuple(_probabilities_of(m) for m in members) if has_all else (),
    )


def _multi_regressor(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    values = [
        _values_of(emitter, emitter.predict(columns, member)) for member in estimator.estimators_
    ]
    return Answer(values=emitter.concat(values), flat=False)


def _transformed_target(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    answer = emitter.predict(columns, estimator.regressor_)
    value = emitter.cast(_values_of(emitter, answer), "float64")
    if answer.values is not None and answer.values.kind == "float32":
        raise UnconvertibleError("it transforms a target in float32")
    transformer = estimator.transformer_
    name = type(transformer).__name__
    if name == "FunctionTransformer":
        table = applied(
            emitter, emitter.columns_of(value), transformer.inverse_func, transformer.inv_kw_args
        )
        value = emitter.numbers(table)
    elif name == "StandardScaler":
        if transformer.with_std:
            value = emitter.per_column(Op.MULTIPLY, value, transformer.scale_)
        if transformer.with_mean:
            value = emitter.per_column(Op.ADD, value, transformer.mean_)
    elif name == "MinMaxScaler":
        value = emitter.per_column(Op.SUBTRACT, value, transformer.min_)
        value = emitter.per_column(Op.DIVIDE, value, transformer.scale_)
    else:
        raise UnconvertibleError(f"the inverse of {name} has no rule of our own")
    flat = estimator._training_dim == 1 and value.width == 1
    return Answer(values=value, flat=flat)


RULES: dict[str, Predictor] = {
    "VotingClassifier": _voting_classifier,
    "VotingRegressor": _voting_regressor,
    "BaggingClassifier": _bagging,
    "BaggingRegressor": _bagging,
    "StackingClassifier": _stacking,
    "StackingRegressor": _stacking,
    "CalibratedClassifierCV": _calibrated,
    "OneVsRestClassifier": _one_vs_rest,
    "MultiOutputClassifier": _multi_classifier,
    "MultiOutputRegressor": _multi_regressor,
    "TransformedTargetRegressor": _transformed_target,
}
