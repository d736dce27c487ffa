"""Rules for the tree models of all three libraries, and the entry for every predictor."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from slipstream.adapters import lightgbm, sklearn_boosting, sklearn_forests, sklearn_trees, xgboost
from slipstream.adapters.base import Array, quiet
from slipstream.adapters.trees import TreeEnsemble, UnconvertibleError
from slipstream.convert import forest_trees
from slipstream.convert.forest_emitter import Answer, Cell, Columns, Emitter
from slipstream.convert.forest_file import Op, Value
from slipstream.convert.forest_ops import Function
from slipstream.convert.forest_trees import SOFTMAX_SKLEARN, above, divided, linked, table_of


def tree_answer(emitter: Emitter, columns: Columns, estimator: Any) -> Answer | None:
    """The answer of a tree model of any library; None if this is none."""
    if sklearn_trees.is_tree_model(estimator):
        return _sklearn(emitter, columns, estimator)
    if xgboost.is_tree_model(estimator):
        if columns.sparse:
            columns = _without_zeros(emitter, columns)
        return _plain(emitter, emitter.numbers(columns), estimator, xgboost.extract(estimator))
    if lightgbm.is_tree_model(estimator):
        trees = lightgbm.extract(estimator)
        rows = emitter.numbers(columns)
        return _plain(emitter, rows, estimator, trees, from_sparse=columns.sparse)
    return None


def _without_zeros(emitter: Emitter, columns: Columns) -> Columns:
    """XGBoost takes what a sparse matrix leaves out, its zeros, as missing."""
    value = emitter.once(
        Op.REPLACE_MISSING,
        emitter.numbers(columns),
        arrays=[np.full(len(columns), np.nan)],
        scalars=[0.0],
    )
    return emitter.columns_of(value)


def _classes(estimator: Any) -> tuple[Array, ...]:
    classes = estimator.classes_
    parts = classes if isinstance(classes, list) else [classes]
    return tuple(np.asarray(part) for part in parts)


def _plain(
    emitter: Emitter,
    rows: Value,
    estimator: Any,
    trees: TreeEnsemble,
    *,
    from_sparse: bool = False,
) -> Answer:
    """An ensemble whose link and decision tell the whole answer, of one target."""
    found = forest_trees.emit(emitter, rows, trees, from_sparse=from_sparse)
    if found.labels is None or found.probabilities is None:
        return Answer(values=found.answer, decision=found.sums)
    return Answer(
        classes=_classes(estimator),
        labels=(found.labels,),
        probabilities=(found.probabilities,),
        decision=found.sums if hasattr(estimator, "decision_function") else None,
    )


_FLOAT32_LIMIT = float(np.nextafter(2.0**128 - 2.0**103, 0.0))
"""The largest float64 that float32 rounds to a finite number."""


def _refuse_what_it_refuses(emitter: Emitter, columns: Columns, estimator: Any) -> None:
    """scikit-learn's trees check their table, in float32, before they look at it."""

    def takes(number: float) -> bool:
        try:
            with quiet():
                estimator.predict(np.full((1, len(columns)), number))
        except Exception:  # whatever it raises, it does not take it
            return False
        return True

    missing = not takes(np.nan)
    limit = np.inf
    if not takes(np.inf):
        limit = float(np.finfo(np.float64).max) if takes(1e300) else _FLOAT32_LIMIT
    if missing or limit < np.inf:
        width = len(columns)
        emitter.refuse_cells(columns, np.full(width, limit), np.full(width, missing))


def _sklearn(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    name = type(estimator).__name__
    if not name.startswith("HistGradientBoosting"):  # that takes any number
        _refuse_what_it_refuses(emitter, columns, estimator)
    if name == "IsolationForest":
        return _isolation(emitter, emitter.numbers(columns), estimator)
    if name == "AdaBoostClassifier":
        return _votes(emitter, emitter.numbers(columns), estimator)
    if name == "AdaBoostRegressor":
        return _median(emitter, emitter.numbers(columns), estimator)
    if name.startswith("HistGradientBoosting"):
        return _hist(emitter, columns, estimator)
    if name.startswith("GradientBoosting") and not sklearn_boosting.starts_constant(estimator):
        return _with_first_guess(emitter, columns, estimator)
    trees = sklearn_trees.sums_of(estimator)
    rows = emitter.numbers(columns)
    if trees.decision is None and trees.n_outputs > 1:
        return _several(emitter, rows, estimator, trees)
    return _plain(emitter, rows, estimator, trees)


def _several(emitter: Emitter, rows: Value, estimator: Any, trees: TreeEnsemble) -> Answer:
    """A forest of several targets, whose outputs lie side by side."""
    sums = divided(emitter, rows, trees)
    counts = sklearn_forests.class_counts(estimator)
    if not counts:
        return Answer(values=sums)
    ends = np.cumsum([0, *counts]).tolist()
    tables = [emitter.take(sums, list(range(begin, end))) for begin, end in pairwise(ends)]
    return Answer(
        classes=_classes(estimator),
        labels=tuple(emitter.once(Op.ARGMAX, table) for table in tables),
        probabilities=tuple(tables),
    )


def _isolation(emitter: Emitter, rows: Value, estimator: Any) -> Answer:
    depths = divided(emitter, rows, sklearn_forests.isolation(estimator))
    limit = sklearn_forests.isolation_limit(estimator)
    inlier = above(emitter, depths, limit, or_equal=True)
    return Answer(values=table_of(emitter, inlier, [-1, 1]))


def _votes(emitter: Emitter, rows: Value, estimator: Any) -> Answer:
    trees = sklearn_forests.votes(estimator)
    votes = divided(emitter, rows, trees)
    classes = len(estimator.classes_)
    if classes > 2:
        label = emitter.once(Op.ARGMAX, votes)
        scaled = emitter.per_column(Op.DIVIDE, votes, classes - 1)
        decision = votes
    else:
        signed = emitter.per_column(Op.MULTIPLY, votes, [-1.0, 1.0])
        decision = emitter.once(Op.SUM_COLUMNS, signed)
        label = above(emitter, decision, 0.0)
        both = emitter.concat([emitter.function(Function.NEGATE, decision), decision])
        scaled = emitter.per_column(Op.DIVIDE, both, 2.0)
    return Answer(
        classes=_classes(estimator),
        labels=(label,),
        probabilities=(emitter.once(Op.SOFTMAX, scaled, scalars=[SOFTMAX_SKLEARN]),),
        decision=decision,
    )


def _median(emitter: Emitter, rows: Value, estimator: Any) -> Answer:
    trees = sklearn_forests.each_tree(estimator)
    each = divided(emitter, rows, trees)
    weights = np.asarray(estimator.estimator_weights_, dtype=np.float64)[: trees.n_outputs]
    return Answer(values=emitter.once(Op.WEIGHTED_MEDIAN, each, arrays=[weights]))


def _hist(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    if columns.sparse:
        raise UnconvertibleError("HistGradientBoosting takes no sparse matrix")
    preprocessor = getattr(estimator, "_preprocessor", None)
    if preprocessor is not None:
        columns = emitter.transform(columns, preprocessor)
    trees = sklearn_boosting.hist_gradient_boosting(estimator)
    return _plain(emitter, emitter.numbers(columns), estimator, trees)


def _with_first_guess(emitter: Emitter, columns: Columns, estimator: Any) -> Answer:
    """GradientBoosting whose stages are added, one after the other, to what a model guesses."""
    rows = emitter.numbers(columns)
    rounded = emitter.cast(emitter.cast(rows, "float32"), "float64")
    cells = tuple(Cell(rounded, place, single=True) for place in range(rounded.width))
    guess = _guess(emitter, Columns(cells, columns.sparse), estimator)
    trees = sklearn_boosting.gradient_boosting_stages(estimator)
    stages = emitter.program.trees(rows, trees)
    classes = int(estimator.estimators_.shape[1])
    parts = []
    for output in range(classes):
        each = emitter.take(stages, list(range(output, stages.width, classes)))
        start = emitter.take(guess, [output])
        parts.append(emitter.once(Op.SUM_COLUMNS, emitter.concat([start, each])))
    sums = emitter.concat(parts)
    if trees.decision is None:
        return Answer(values=sums)
    answer = linked(emitter, sums, trees)
    probabilities = emitter.once(Op.COMPLEMENT, answer) if classes == 1 else answer
    return Answer(
        classes=_classes(estimator),
        labels=(forest_trees.decided(emitter, sums, answer, probabilities, trees.decision),),
        probabilities=(probabilities,),
        decision=sums,
    )


def _guess(emitter: Emitter, columns: Columns, estimator: Any) -> Value:
    """[classes or 1]: the raw prediction of the first guess."""
    init = emitter.predict(columns, estimator.init_)
    if not hasattr(estimator, "classes_"):
        if init.values is None:
            raise UnconvertibleError("its first guess is a classifier")
        return emitter.cast(init.values, "float64")
    if not init.probabilities:
        raise UnconvertibleError("its first guess has no probabilities")
    table = emitter.cast(init.probabilities[0], "float64")
    if estimator.estimators_.shape[1] > 1:
        raise UnconvertibleError("a first guess of several classes has no rule of our own")
    edge = float(np.finfo(np.float64).eps)
    share = emitter.once(Op.CLIP, emitter.take(table, [1]), scalars=[edge, 1 - edge])
    logit = emitter.function(Function.LOGIT, share)
    if estimator.loss == "exponential":
        return emitter.per_column(Op.MULTIPLY, logit, 0.5)
    return logit
