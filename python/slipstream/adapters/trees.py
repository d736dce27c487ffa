"""A tree ensemble as arrays, whatever library trained it.

The adapters extract into `TreeEnsemble`; the ONNX emitter (`slipstream.convert.onnx_trees`) and
slipstream's own evaluator read it. The point of the form is exactness: it says in which type a
value is compared, where a missing one goes and what the library does before and after the sum, so
that a reader need not know which library it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from slipstream.errors import ModelLoadError

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


class UnconvertibleError(Exception):
    """The model uses something that the target form cannot express; the text says what."""


class Comparison(Enum):
    """How a node decides to go left."""

    LE_F64 = "x <= threshold in double"
    LE_F64_OF_F32 = "x rounded to float32, then x <= threshold in double"
    LT_F32 = "x < threshold in float32"


class Missing(Enum):
    """What a feature does with NaN and zero before nodes see it."""

    DIRECTED = "NaN goes where missing_left says"
    AS_ZERO = "NaN is taken as 0"
    ZERO_TOO = "NaN and zero both go where missing_left says"


class Link(Enum):
    """From the sums to the answer."""

    IDENTITY = "sum"
    EXP = "exp(sum)"
    SIGNED_SQUARE = "sign(sum) * sum * sum"
    LOG1P_EXP = "log(1 + exp(sum))"
    SIGMOID = "1 / (1 + exp(-scale * sum))"
    SIGMOID_EACH = "a sigmoid per output, as they are"
    SOFTMAX = "softmax over the outputs"


class Decision(Enum):
    """From the sums or probabilities to the class index; None for regressions."""

    ARGMAX = "the first largest probability"
    ARGMAX_SUM = "the first largest sum"
    SUM_ABOVE_0 = "sum > 0"
    SUM_FROM_0 = "sum >= 0"
    ABOVE_HALF = "probability > 0.5"


@dataclass(frozen=True, kw_only=True)
class TreeEnsemble:
    """All trees in one node table; a node's children are indices into the same table.

    Attributes:
        n_features: Width of a row.
        n_outputs: Sums per row (one per class, or 1).
        roots: i32[trees], node index of each tree's root.
        feature: i32[nodes], feature a node looks at; 0 at leaves.
        threshold: f64[nodes]; for LT_F32 every value is exactly a float32.
        left, right: i32[nodes], child nodes; -1 at leaves.
        missing_left: bool[nodes], whether NaN goes left.
        tree_output: i32[trees], the output a tree adds to; -1 when its leaves hold all outputs.
        leaf_value: f64[nodes, width], width 1 or ``n_outputs``; zeros at inner nodes.
        comparison, missing: See the enums; ``missing`` is per feature.
        zero_flush: Whether values with abs(x) <= float32(1e-35) are taken as 0 (LightGBM).
        base: f64[n_outputs], added to the sums.
        divisor: What the sums are divided by (the number of trees of an averaging forest).
        link, link_scale, decision: From sums to answers.
        float32_answers: Whether the library sums and links in float32 (XGBoost).
    """

    n_features: int
    n_outputs: int
    roots: I32
    feature: I32
    threshold: F64
    left: I32
    right: I32
    missing_left: Bools
    tree_output: I32
    leaf_value: F64
    comparison: Comparison
    missing: tuple[Missing, ...] | Missing = Missing.DIRECTED
    zero_flush: bool = False
    base: F64 = field(default_factory=lambda: np.zeros(1))
    divisor: float = 1.0
    link: Link = Link.IDENTITY
    link_scale: float = 1.0
    decision: Decision | None = None
    float32_answers: bool = False

    @property
    def is_leaf(self) -> Bools:
        """bool[nodes]."""
        leaf: Bools = self.left < 0
        return leaf

    def missing_of(self, feature: int) -> Missing:
        """What ``feature`` does with NaN."""
        return self.missing if isinstance(self.missing, Missing) else self.missing[feature]

    def check(self) -> TreeEnsemble:
        """Self, once every link is known to lead to a later node and every feature to exist.

        Raises:
            ModelLoadError: The trees are damaged.
        """
        inner = ~self.is_leaf
        at = np.flatnonzero(inner)
        sound = (
            (self.left[at] > at).all()
            and (self.right[at] > at).all()
            and (self.left[at] < len(self.left)).all()
            and (self.right[at] < len(self.left)).all()
            and (self.feature[at] >= 0).all()
            and (self.feature[at] < self.n_features).all()
            and not np.isnan(self.threshold[at]).any()
            and (self.tree_output < self.n_outputs).all()
        )
        if not sound:
            raise ModelLoadError("the trees of the model are damaged: links or features are wrong")
        return self


class TreeBuilder:
    """Collects trees of one ensemble; each is given with node indices of its own."""

    def __init__(self) -> None:
        self._parts: list[tuple[Any, ...]] = []
        self._roots: list[int] = []
        self._outputs: list[int] = []
        self._count = 0

    def add(
        self,
        *,
        feature: Any,
        threshold: Any,
        left: Any,
        right: Any,
        missing_left: Any,
        leaf_value: Any,
        output: int,
    ) -> None:
        """Append one tree: arrays over its nodes, root first, -1 children at leaves.

        ``leaf_value`` is [nodes] or [nodes, outputs]; ``output`` -1 means the latter.
        """
        left = np.asarray(left, dtype=np.int64)
        right = np.asarray(right, dtype=np.int64)
        leaf = left < 0
        values = np.asarray(leaf_value, dtype=np.float64)
        values = np.where(leaf[:, None], values.reshape(len(left), -1), 0.0)
        order = _parents_first(left, right)
        place = np.full(len(left), -1, dtype=np.int64)
        place[order] = np.arange(len(order)) + self._count
        self._parts.append(
            (
                np.where(leaf, 0, np.asarray(feature)).astype(np.int32)[order],
                np.where(leaf, 0.0, np.asarray(threshold, dtype=np.float64))[order],
                np.where(leaf, -1, place[left]).astype(np.int32)[order],
                np.where(leaf, -1, place[right]).astype(np.int32)[order],
                (np.asarray(missing_left, dtype=np.bool_) & ~leaf)[order],
                values[order],
            )
        )
        self._roots.append(self._count)
        self._outputs.append(output)
        self._count += len(order)

    def arrays(self) -> dict[str, Any]:
        """The keyword arguments of `TreeEnsemble` that the trees determine."""
        if not self._parts:
            raise UnconvertibleError("the model has no trees")
        if self._count >= 2**31:
            raise UnconvertibleError("the model has more than 2**31 nodes")
        names = ("feature", "threshold", "left", "right", "missing_left", "leaf_value")
        columns = zip(*self._parts, strict=True)
        arrays = {name: np.concatenate(part) for name, part in zip(names, columns, strict=True)}
        arrays["roots"] = np.array(self._roots, dtype=np.int32)
        arrays["tree_output"] = np.array(self._outputs, dtype=np.int32)
        return arrays


def _parents_first(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Any:
    """The nodes that the root reaches, each after its parent.

    Raises:
        ModelLoadError: A link leads out of the tree, or two links lead to one node.
    """
    count = len(left)
    inner = np.flatnonzero(left >= 0)
    children = np.concatenate([left[inner], right[inner]])
    if count == 0 or (children < 0).any() or (children >= count).any():
        raise ModelLoadError("a tree of the model is damaged: a link leads out of it")
    in_order = (children > np.concatenate([inner, inner])).all()
    if in_order and len(children) == count - 1 and len(np.unique(children)) == count - 1:
        return np.arange(count)
    order, seen = [0], {0}
    for node in order:
        if left[node] < 0:
            continue
        for child in (int(left[node]), int(right[node])):
            if child in seen:
                raise ModelLoadError("a tree of the model is damaged: two links lead to one node")
            seen.add(child)
            order.append(child)
    return np.array(order)


def reference(trees: TreeEnsemble, rows: F64) -> F64:
    """The sums, f64[rows, n_outputs], by walking the trees: slow, plain, for tests.

    ``rows`` is f64[rows, n_features]. Applies base and divisor, not the link.
    """
    sums = np.zeros((len(rows), trees.n_outputs))
    for number, row in enumerate(rows):
        for root, output in zip(trees.roots, trees.tree_output, strict=True):
            node = int(root)
            while trees.left[node] >= 0:
                node = _next(trees, node, float(row[trees.feature[node]]))
            if output < 0:
                sums[number] += trees.leaf_value[node]
            else:
                sums[number, output] += trees.leaf_value[node, 0]
    return sums / trees.divisor + trees.base


def _next(trees: TreeEnsemble, node: int, value: float) -> int:
    missing = trees.missing_of(int(trees.feature[node]))
    near_zero = abs(value) <= float(np.float32(1e-35))
    if missing is Missing.AS_ZERO and np.isnan(value):
        value, near_zero = 0.0, True
    if trees.zero_flush and near_zero:
        value = 0.0
    if np.isnan(value) or (missing is Missing.ZERO_TOO and near_zero):
        go_left = bool(trees.missing_left[node])
    elif trees.comparison is Comparison.LT_F32:
        go_left = bool(np.float32(value) < np.float32(trees.threshold[node]))
    elif trees.comparison is Comparison.LE_F64_OF_F32:
        go_left = bool(float(np.float32(value)) <= trees.threshold[node])
    else:
        go_left = bool(value <= trees.threshold[node])
    return int(trees.left[node] if go_left else trees.right[node])
