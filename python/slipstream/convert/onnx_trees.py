"""From a `TreeEnsemble` to ONNX nodes that decide exactly as the library does.

The ``TreeEnsemble`` operator of ai.onnx.ml 5 compares and sums in the type of its input, double
here, so thresholds keep all their bits. A float32 comparison ``x < t`` is done in double on the
rounded ``x``: both sides are float32 values, so nothing changes.

Leaves of that operator hold one number. Forests whose leaves hold one value per class let every
tree answer the *number* of the leaf it reached; the values are looked up and summed afterwards, so
each tree is walked once however many classes there are.
"""

from __future__ import annotations

import numpy as np

from slipstream.adapters.trees import (
    Comparison,
    Decision,
    Link,
    Missing,
    TreeEnsemble,
    UnconvertibleError,
)
from slipstream.convert.onnx_graph import Graph

_MODE_LEQ, _MODE_LT = 0, 1
_SUM = 1
_KZERO = float(np.float32(1e-35))
_LARGEST_LOOKUP = 1 << 26


def emit(graph: Graph, rows: str, trees: TreeEnsemble) -> tuple[str, str | None]:
    """Add the ensemble; returns (predictions, probabilities).

    Args:
        graph: Receives the nodes.
        rows: f64[rows, n_features].
        trees: What to evaluate.

    Returns:
        For a classifier i64[rows] class indices and f64 or f32[rows, classes]; for others
        f64 or f32[rows], or [rows, outputs] if there are several, and None.

    Raises:
        UnconvertibleError: The operator cannot express what the ensemble needs.
    """
    _refuse(trees)
    sums = _sums(graph, _prepare(graph, rows, trees), trees)
    if np.any(trees.base):
        sums = graph.op("Add", sums, graph.constant(trees.base, np.float64))
    if trees.divisor != 1.0:
        sums = graph.op("Div", sums, graph.constant(np.float64(trees.divisor)))
    if trees.float32_answers:
        sums = graph.cast(sums, np.float32)
    answer = _link(graph, sums, trees)
    if trees.decision is None:
        return answer if trees.n_outputs > 1 else graph.flat(answer), None
    return _decide(graph, sums, answer, trees)


def _refuse(trees: TreeEnsemble) -> None:
    if trees.categories:
        raise UnconvertibleError("ONNX has no category sets: it splits on categorical features")
    if trees.columns is not None:
        raise UnconvertibleError("a feature treats missing values in two ways")
    if not np.isnan(trees.missing_value):
        raise UnconvertibleError(f"it takes {trees.missing_value} as missing")
    if trees.link is Link.STEP or trees.is_pair != (trees.link is Link.SIGMOID):
        raise UnconvertibleError("its two classes come without probabilities")
    if trees.decision is Decision.ABOVE_HALF and trees.n_outputs > 1:
        raise UnconvertibleError("it gives several labels at once")


def _prepare(graph: Graph, rows: str, trees: TreeEnsemble) -> str:
    """What the library does to a row before its trees look at it."""
    if trees.comparison in (Comparison.LE_F64_OF_F32, Comparison.LT_F32):
        rows = graph.cast(graph.cast(rows, np.float32), np.float64)
    rules = [trees.missing_of(feature) for feature in range(trees.n_features)]
    near_zero = ""
    if trees.zero_flush or Missing.ZERO_TOO in rules:
        limit = graph.constant(np.float64(_KZERO))
        near_zero = graph.op("LessOrEqual", graph.op("Abs", rows), limit)
    if trees.zero_flush:
        rows = graph.op("Where", near_zero, graph.constant(np.float64(0.0)), rows)
    if Missing.AS_ZERO in rules:
        which = graph.constant([rule is Missing.AS_ZERO for rule in rules], np.bool_)
        hit = graph.op("And", graph.op("IsNaN", rows), which)
        rows = graph.op("Where", hit, graph.constant(np.float64(0.0)), rows)
    if Missing.ZERO_TOO in rules:
        which = graph.constant([rule is Missing.ZERO_TOO for rule in rules], np.bool_)
        hit = graph.op("And", near_zero, which)
        rows = graph.op("Where", hit, graph.constant(np.float64(np.nan)), rows)
    return rows


def _sums(graph: Graph, rows: str, trees: TreeEnsemble) -> str:
    """f64[rows, n_outputs]."""
    by_leaf_number = bool((trees.tree_output < 0).any())
    if not by_leaf_number:
        return _operator(graph, rows, trees, trees.leaf_value[:, 0], trees.tree_output)
    leaves = np.flatnonzero(trees.is_leaf)
    if len(leaves) * trees.n_outputs > _LARGEST_LOOKUP:
        raise UnconvertibleError("its leaves hold more than 2**26 values")
    numbers = np.zeros(len(trees.left))
    numbers[leaves] = np.arange(len(leaves))
    each_tree = np.arange(len(trees.roots))
    reached = _operator(graph, rows, trees, numbers, each_tree, outputs=len(trees.roots))
    table = graph.constant(trees.leaf_value[leaves], np.float64)
    values = graph.op("Gather", table, graph.cast(reached, np.int64), axis=0)
    if len(trees.roots) == 1:
        return graph.op("Squeeze", values, graph.constant([1], np.int64))
    return graph.op("ReduceSum", values, graph.constant([1], np.int64), keepdims=0)


def _operator(
    graph: Graph,
    rows: str,
    trees: TreeEnsemble,
    values: np.ndarray,
    targets: np.ndarray,
    outputs: int | None = None,
) -> str:
    """One TreeEnsemble node: f64[rows, outputs]."""
    leaf = trees.is_leaf
    lone = np.flatnonzero(leaf[trees.roots])  # trees that are a single leaf
    inner = np.flatnonzero(~leaf)
    place = np.zeros(len(leaf), dtype=np.int64)  # among inner nodes or among leaves
    place[inner] = np.arange(len(inner))
    leaves = np.flatnonzero(leaf)
    place[leaves] = np.arange(len(leaves))
    tree_of = np.zeros(len(leaf), dtype=np.int64)
    tree_of[trees.roots] = 1
    tree_of = np.cumsum(tree_of) - 1
    # A lone leaf hangs from a node of its own, both sides of which lead to it.
    lone_leaves = place[trees.roots[lone]]
    left, right = trees.left[inner], trees.right[inner]
    mode = _MODE_LT if trees.comparison is Comparison.LT_F32 else _MODE_LEQ
    roots = place[trees.roots].copy()
    roots[lone] = len(inner) + np.arange(len(lone))
    count = len(inner) + len(lone)
    ones = np.ones(len(lone), dtype=np.int64)

    def ints(main: np.ndarray, extra: np.ndarray) -> list[int]:
        return [int(v) for v in np.concatenate([main.astype(np.int64), extra])]

    missing = trees.missing_left[inner].astype(np.int64)
    attributes = {
        "n_targets": trees.n_outputs if outputs is None else outputs,
        "aggregate_function": _SUM,
        "post_transform": 0,
        "tree_roots": [int(root) for root in roots],
        "nodes_featureids": ints(trees.feature[inner], 0 * ones),
        "nodes_splits": graph.tensor(
            np.concatenate([trees.threshold[inner], np.zeros(len(lone))]), np.float64
        ),
        "nodes_modes": graph.tensor(np.full(count, mode), np.uint8),
        "nodes_truenodeids": ints(place[left], lone_leaves),
        "nodes_falsenodeids": ints(place[right], lone_leaves),
        "nodes_trueleafs": ints(leaf[left], ones),
        "nodes_falseleafs": ints(leaf[right], ones),
        "leaf_targetids": [int(targets[tree]) for tree in tree_of[leaves]],
        "leaf_weights": graph.tensor(values[leaves], np.float64),
    }
    if missing.any():
        attributes["nodes_missing_value_tracks_true"] = ints(missing, 0 * ones)
    return graph.op("TreeEnsemble", rows, domain="ai.onnx.ml", **attributes)


def _link(graph: Graph, sums: str, trees: TreeEnsemble) -> str:
    dtype = np.float32 if trees.float32_answers else np.float64
    if trees.link in (Link.EXP, Link.EXP_OF_F64):
        return graph.op("Exp", sums)
    if trees.link is Link.SIGNED_SQUARE:
        return graph.op("Mul", sums, graph.op("Abs", sums))
    if trees.link is Link.LOG1P_EXP:
        return graph.op("Log", graph.op("Add", graph.op("Exp", sums), graph.constant(dtype(1))))
    if trees.link in (Link.SIGMOID, Link.SIGMOID_EACH):
        one = graph.constant(dtype(1))
        power = graph.op("Exp", graph.op("Mul", sums, graph.constant(dtype(-trees.link_scale))))
        return graph.op("Div", one, graph.op("Add", power, one))
    if trees.link is Link.SOFTMAX:
        largest = graph.op("ReduceMax", sums, graph.constant([1], np.int64), keepdims=1)
        powers = graph.op("Exp", graph.op("Sub", sums, largest))
        total = graph.op("ReduceSum", powers, graph.constant([1], np.int64), keepdims=1)
        return graph.op("Div", powers, total)
    return sums


def _decide(graph: Graph, sums: str, answer: str, trees: TreeEnsemble) -> tuple[str, str]:
    dtype = np.float32 if trees.float32_answers else np.float64
    probabilities = answer
    if trees.n_outputs == 1 and trees.link is Link.SIGMOID:
        rest = graph.op("Sub", graph.constant(dtype(1)), answer)
        probabilities = graph.op("Concat", rest, answer, axis=1)
    if trees.decision is Decision.SUM_ABOVE_0:
        hit = graph.op("Greater", sums, graph.constant(dtype(0)))
    elif trees.decision is Decision.SUM_FROM_0:
        hit = graph.op("GreaterOrEqual", sums, graph.constant(dtype(0)))
    elif trees.decision is Decision.ABOVE_HALF:
        hit = graph.op("Greater", answer, graph.constant(dtype(0.5)))
    else:
        source = sums if trees.decision is Decision.ARGMAX_SUM else probabilities
        return graph.op("ArgMax", source, axis=1, keepdims=0), probabilities
    return graph.flat(graph.cast(hit, np.int64)), probabilities
