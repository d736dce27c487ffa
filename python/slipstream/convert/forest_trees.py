"""From a `TreeEnsemble` to steps: sums, division, link, decision."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from slipstream.adapters.trees import Comparison, Decision, Link, TreeEnsemble
from slipstream.convert.forest_emitter import Emitter
from slipstream.convert.forest_file import Op, Value
from slipstream.convert.forest_ops import Function

SIGMOID_PLAIN, SIGMOID_XGBOOST = 0, 1
SOFTMAX_SKLEARN, SOFTMAX_LIGHTGBM, SOFTMAX_XGBOOST = 0, 1, 2


@dataclass(frozen=True)
class TreeAnswer:
    """Values of the program; see `TreeEnsemble` for what they are.

    Attributes:
        sums: [outputs], divided.
        answer: What the link made of them.
        labels: i64 class positions; None for a regression. One column, but for several targets.
        probabilities: [classes]; None for a regression.
    """

    sums: Value
    answer: Value
    labels: Value | None
    probabilities: Value | None


def emit(
    emitter: Emitter, rows: Value, trees: TreeEnsemble, *, from_sparse: bool = False
) -> TreeAnswer:
    """Add an ensemble whose link and decision tell the answer; ``rows`` has its features.

    ``from_sparse``: the library is given them as a sparse matrix, which LightGBM does not flush.
    """
    summed = replace(trees, zero_flush=False) if from_sparse else trees
    sums = divided(emitter, rows, summed)
    answer = linked(emitter, sums, trees)
    if trees.decision is None:
        return TreeAnswer(sums, answer, None, None)
    probabilities = answer
    if trees.is_pair:
        probabilities = emitter.once(Op.COMPLEMENT, answer)
    labels = decided(emitter, sums, answer, probabilities, trees.decision)
    return TreeAnswer(sums, answer, labels, probabilities)


def divided(emitter: Emitter, rows: Value, trees: TreeEnsemble) -> Value:
    """The sums of an ensemble."""
    sums = emitter.program.trees(prepared(emitter, rows, trees), trees)
    if trees.divisor != 1.0:
        sums = emitter.per_column(Op.DIVIDE, sums, trees.divisor)
    return sums


def prepared(emitter: Emitter, rows: Value, trees: TreeEnsemble) -> Value:
    """The features of an ensemble, from the caller's columns."""
    if trees.columns is not None:
        rows = emitter.take(rows, trees.columns.tolist())
    if np.isnan(trees.missing_value):
        return rows
    missing = float(trees.missing_value)
    if trees.comparison is not Comparison.LE_F64:  # rounded first, as the library does
        missing = float(np.float32(missing))
        rows = emitter.cast(emitter.cast(rows, "float32"), "float64")
    holes = np.full(rows.width, np.nan)
    return emitter.once(Op.REPLACE_MISSING, rows, arrays=[holes], scalars=[missing])


def linked(emitter: Emitter, sums: Value, trees: TreeEnsemble) -> Value:
    """What the link of ``trees`` makes of sums."""
    in_xgboost, in_lightgbm = trees.float32_answers, trees.zero_flush
    if trees.link is Link.EXP:
        return emitter.function(Function.EXP, sums)
    if trees.link is Link.EXP_OF_F64:
        powers = emitter.function(Function.EXP, emitter.cast(sums, "float64"))
        return emitter.cast(powers, sums.kind)
    if trees.link is Link.SIGNED_SQUARE:
        return emitter.function(Function.SIGNED_SQUARE, sums)
    if trees.link is Link.LOG1P_EXP:
        return emitter.function(Function.LOG1P_EXP, sums)
    if trees.link in (Link.SIGMOID, Link.SIGMOID_EACH):
        if in_xgboost or in_lightgbm:
            variant = SIGMOID_XGBOOST if in_xgboost else SIGMOID_PLAIN
            return emitter.once(Op.SIGMOID, sums, scalars=[trees.link_scale, variant])
        if trees.link_scale != 1.0:
            sums = emitter.per_column(Op.MULTIPLY, sums, trees.link_scale)
        return emitter.function(Function.EXPIT, sums)
    if trees.link is Link.SOFTMAX:
        variant = SOFTMAX_LIGHTGBM if in_lightgbm else SOFTMAX_SKLEARN
        return emitter.once(Op.SOFTMAX, sums, scalars=[SOFTMAX_XGBOOST if in_xgboost else variant])
    if trees.link is Link.STEP:
        hits = [above(emitter, emitter.take(sums, [at]), 0.0) for at in range(sums.width)]
        return emitter.concat([emitter.cast(hit, sums.kind) for hit in hits])
    return sums


def decided(
    emitter: Emitter, sums: Value, answer: Value, probabilities: Value, decision: Decision
) -> Value:
    """i64 class positions."""
    if decision is Decision.SUM_ABOVE_0:
        return above(emitter, sums, 0.0)
    if decision is Decision.SUM_FROM_0:
        return above(emitter, sums, 0.0, or_equal=True)
    if decision is Decision.ABOVE_HALF:
        columns = [emitter.take(answer, [place]) for place in range(answer.width)]
        return emitter.concat([above(emitter, column, 0.5) for column in columns])
    return emitter.once(Op.ARGMAX, sums if decision is Decision.ARGMAX_SUM else probabilities)


def above(emitter: Emitter, value: Value, limit: float, *, or_equal: bool = False) -> Value:
    """i64 0 or 1: whether a value of width 1 is above (or at) a limit."""
    return emitter.once(Op.GREATER, value, scalars=[limit, float(or_equal)])


def table_of(emitter: Emitter, index: Value, numbers: list[int]) -> Value:
    """i64: the number that stands at the index."""
    table = np.array(numbers, dtype=np.int64)
    return emitter.once(Op.LABEL_NUMBER, index, arrays=[table])
