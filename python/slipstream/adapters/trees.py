"""A tree ensemble as arrays, whatever library trained it.

The adapters extract into `TreeEnsemble`; the ONNX emitter (`slipstream.convert.onnx_trees`) and
slipstream's own evaluator read it. The point of the form is exactness: it says in which type a
value is compared, where a missing one goes and what the library does before and after the sum, so
that a reader need not know which library it was.
"""

from __future__ import annotations

from collections.abc import Mapping
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


class CategoryRule(Enum):
    """How a value of a categorical feature becomes a code: a category, `other` or `missing`.

    NaN is always missing, and numbers are truncated towards zero; ``count`` and above is other.
    """

    TRUNCATE = "truncated first: -0.5 is category 0, negative integers are other"
    SIGN = "negative values are other, -0.5 too"
    KNOWN = "negative values, and categories that are not known, are missing"


@dataclass(frozen=True, eq=False)
class Category:
    """A categorical feature.

    Attributes:
        count: Its categories are 0 … count - 1; code ``count`` is other, ``count + 1`` missing.
        rule: See the enum.
        known: bool[count] for KNOWN, else None.
    """

    count: int
    rule: CategoryRule
    known: Bools | None = None


class Link(Enum):
    """From the sums to the answer."""

    IDENTITY = "sum"
    EXP = "exp(sum)"
    EXP_OF_F64 = "exp(sum) in double, then rounded to the type of the sum"
    SIGNED_SQUARE = "sign(sum) * sum * sum"
    LOG1P_EXP = "log(1 + exp(sum))"
    SIGMOID = "1 / (1 + exp(-scale * sum))"
    SIGMOID_EACH = "a sigmoid per output, as they are"
    SOFTMAX = "softmax over the outputs"
    STEP = "1 where sum > 0, else 0"


class Decision(Enum):
    """From the sums or probabilities to the class index; None for regressions."""

    ARGMAX = "the first largest probability"
    ARGMAX_SUM = "the first largest sum"
    SUM_ABOVE_0 = "sum > 0"
    SUM_FROM_0 = "sum >= 0"
    ABOVE_HALF = "probability > 0.5; one class index per output"


@dataclass(frozen=True, kw_only=True)
class TreeEnsemble:
    """All trees in one node table; a node's children are indices into the same table.

    A sum is made in this order, in float64 (float32 if ``float32_answers``): it starts as ``base``,
    the leaf of each tree is added in the order of the trees, and the whole is divided by
    ``divisor`` unless that is 1.

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
        category_set: i32[nodes], index into ``category_sets`` at nodes that split on categories;
            -1 elsewhere.
        category_sets: bool[count + 2] each, by code (categories, other, missing): goes left.
        categories: The categorical features by number; ``missing`` says nothing about them.
        comparison, missing: See the enums; ``missing`` is per feature.
        zero_flush: Whether values with abs(x) <= float32(1e-35) are taken as 0 (LightGBM).
        base: f64[n_outputs], what the sums start with.
        divisor: What the sums are divided by (the number of trees of an averaging forest).
        columns: i32[n_features], the column of the caller's row that each feature is; None: the
            row as it is.
        missing_value: A number that is missing too, as are those that the comparison rounds to it.
        link, link_scale, decision: From sums to answers.
        pair: Whether the one answer p stands for the probabilities [1 - p, p]; Link.SIGMOID
            implies it (see `is_pair`).
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
    category_set: I32 | None = None
    category_sets: tuple[Bools, ...] = ()
    categories: Mapping[int, Category] = field(default_factory=dict)
    base: F64 = field(default_factory=lambda: np.zeros(1))
    divisor: float = 1.0
    columns: I32 | None = None
    missing_value: float = np.nan
    link: Link = Link.IDENTITY
    link_scale: float = 1.0
    decision: Decision | None = None
    pair: bool = False
    float32_answers: bool = False

    @property
    def is_leaf(self) -> Bools:
        """bool[nodes]."""
        leaf: Bools = self.left < 0
        return leaf

    @property
    def sets_of_nodes(self) -> I32:
        """i32[nodes], ``category_set`` whether or not there are any."""
        if self.category_set is None:
            return np.full(len(self.left), -1, dtype=np.int32)
        return self.category_set

    @property
    def is_pair(self) -> bool:
        """Whether a classifier's probabilities are [1 - p, p] of its one answer p."""
        single = self.decision is not None and self.n_outputs == 1
        return single and (self.pair or self.link is Link.SIGMOID)

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
            and self.base.shape == (self.n_outputs,)
            and self._sets_fit(at)
        )
        if not sound:
            raise ModelLoadError("the trees of the model are damaged: links or features are wrong")
        return self

    def _sets_fit(self, inner: npt.NDArray[np.int64]) -> bool:
        """Whether exactly the nodes of categorical features have a set of the feature's size."""
        sets = self.sets_of_nodes[inner]
        wanted = np.zeros(self.n_features, dtype=np.int64)
        for feature, category in self.categories.items():
            wanted[feature] = category.count + 2
        sizes = np.array([0, *map(len, self.category_sets)], dtype=np.int64)
        if (sets >= len(self.category_sets)).any():
            return False
        return bool((sizes[sets + 1] == wanted[self.feature[inner]]).all())


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
        category_set: Any = None,
    ) -> None:
        """Append one tree: arrays over its nodes, root first, -1 children at leaves.

        ``leaf_value`` is [nodes] or [nodes, outputs]; ``output`` -1 means the latter.
        ``category_set`` is -1 at nodes that compare with a threshold; None: all do.
        """
        left = np.asarray(left, dtype=np.int64)
        right = np.asarray(right, dtype=np.int64)
        leaf = left < 0
        values = np.asarray(leaf_value, dtype=np.float64)
        values = np.where(leaf[:, None], values.reshape(len(left), -1), 0.0)
        sets = np.full(len(left), -1) if category_set is None else np.asarray(category_set)
        order = _parents_first(left, right)
        place = np.full(len(left), -1, dtype=np.int64)
        place[order] = np.arange(len(order)) + self._count
        self._parts.append(
            (
                np.where(leaf, 0, np.asarray(feature)).astype(np.int32)[order],
                np.where(leaf | (sets >= 0), 0.0, np.asarray(threshold, np.float64))[order],
                np.where(leaf, -1, place[left]).astype(np.int32)[order],
                np.where(leaf, -1, place[right]).astype(np.int32)[order],
                (np.asarray(missing_left, dtype=np.bool_) & ~leaf)[order],
                values[order],
                np.where(leaf, -1, sets).astype(np.int32)[order],
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
        names = ("feature", "threshold", "left", "right", "missing_left", "leaf_value",
                 "category_set")  # fmt: skip
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
