"""The trees of an XGBoost model, from its own JSON form, and the margin that sums start with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slipstream.adapters.tree_features import CATEGORICAL, CategorySets, FeatureRules
from slipstream.adapters.trees import CategoryRule, TreeBuilder, UnconvertibleError
from slipstream.errors import ModelLoadError

F32 = npt.NDArray[np.float32]

_ROOT = 0
_NUMERIC = 0
_DART_WEIGHTS_LEAVES = (3, 3)
"""Since this version dart multiplies a leaf with its tree's weight; before, see `_weighted`."""


@dataclass(frozen=True)
class Forest:
    """What `TreeEnsemble` needs of a booster: keyword arguments, and the margin of no tree."""

    arguments: dict[str, Any]
    base: F32


def forest_of(document: Any, rounds: int | None, version: str) -> Forest:
    """Read a model.

    Args:
        document: The model as parsed JSON. It is changed.
        rounds: How many boosting rounds count; None: all.
        version: XGBoost's.

    Raises:
        UnconvertibleError: It has no trees, or they are used in a way without a rule.
        ModelLoadError: The trees are damaged.
    """
    learner = document["learner"]
    booster = learner["gradient_booster"]
    if booster["name"] not in ("gbtree", "dart"):
        raise UnconvertibleError(f"its booster is {booster['name']}, not trees")
    model = booster["gbtree"]["model"] if "gbtree" in booster else booster["model"]
    end = model["iteration_indptr"][rounds] if rounds is not None else len(model["trees"])
    trees, groups = model["trees"][:end], [int(group) for group in model["tree_info"][:end]]
    weights = booster.get("weight_drop", model.get("weight_drop"))
    if not trees:
        raise UnconvertibleError("the model has no trees")
    reader = _Reader(int(learner["learner_model_param"]["num_feature"]))
    leaves = [reader.leaf_values(tree) for tree in trees]
    if len({values.shape[1] for values in leaves}) != 1:
        raise UnconvertibleError("some of its trees hold one value a leaf, others several")
    base = base_margin(document, model)
    for number, tree in enumerate(trees):
        values, vector = leaves[number], leaves[number].shape[1] > 1
        if weights:
            start = base if vector else base[groups[number]]
            values = _weighted(values, np.float32(weights[number]), start, version)
        reader.add(tree, values, -1 if vector else groups[number])
    return Forest(reader.arguments(), base)


def base_margin(document: Any, model: Any) -> F32:
    """f32[outputs]: what XGBoost starts its sums with.

    It is the base score through the objective's link, in XGBoost's own float32; so XGBoost is asked
    what the first round of trees answers when all of its leaves are 0. Changes ``document``.
    """
    import xgboost

    first = model["iteration_indptr"][1]
    zeroed = []
    for tree in model["trees"][:first]:
        zeros = {
            name: [0.0] * len(tree[name])
            for name in ("split_conditions", "base_weights", "leaf_weights")
            if name in tree
        }
        zeroed.append({**tree, **zeros})
    parameters = model["gbtree_model_param"]
    model.update(
        trees=zeroed, tree_info=model["tree_info"][:first], iteration_indptr=[0, first],
        gbtree_model_param={**parameters, "num_trees": str(first)},
    )  # fmt: skip
    outer = document["learner"]["gradient_booster"]
    for owner in (outer, model):
        if "weight_drop" in owner:
            owner["weight_drop"] = owner["weight_drop"][:first]
    booster = xgboost.Booster(model_file=bytearray(json.dumps(document).encode()))
    row = np.full((1, booster.num_features()), np.nan, dtype=np.float32)
    margin = booster.inplace_predict(row, predict_type="margin", validate_features=False)
    return np.asarray(margin, dtype=np.float32).reshape(-1)


def _weighted(values: F32, weight: np.float32, base: Any, version: str) -> F32:
    """What dart adds for a leaf: before 3.3 it takes the base out of (base + leaf) again."""
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if numbers < _DART_WEIGHTS_LEAVES:
        values = (base + values) - base
    return values * weight


class _Reader:
    def __init__(self, width: int) -> None:
        self._builder = TreeBuilder()
        self._rules = FeatureRules(width)
        self._sets = CategorySets(CategoryRule.SIGN)

    def leaf_values(self, tree: Any) -> F32:
        """f32[nodes, outputs of a leaf]."""
        width = max(int(tree["tree_param"]["size_leaf_vector"]), 1)
        if width == 1:
            return np.array(tree["split_conditions"], dtype=np.float32).reshape(-1, 1)
        if "leaf_weights" not in tree:  # before 3.2 a vector stood at every node
            return np.array(tree["base_weights"], dtype=np.float32).reshape(-1, width)
        weights = np.array(tree["leaf_weights"], dtype=np.float32).reshape(-1, width)
        leaf = np.array(tree["left_children"]) < 0
        place = np.where(leaf, np.array(tree["right_children"]), 0)  # a leaf's right child
        if leaf.any() and not 0 <= place[leaf].min() <= place[leaf].max() < len(weights):
            raise ModelLoadError("a tree of the model is damaged: a leaf has no values")
        return weights[place]

    def add(self, tree: Any, values: F32, output: int) -> None:
        nodes = len(tree["left_children"])
        kinds = np.array(tree.get("split_type") or [_NUMERIC] * nodes)
        inner = np.flatnonzero(np.array(tree["left_children"]) >= 0)
        rules = np.where(kinds == _NUMERIC, 0, CATEGORICAL)
        features = np.zeros(nodes, dtype=np.int64)
        features[inner] = self._rules.features(np.array(tree["split_indices"])[inner], rules[inner])
        self._builder.add(
            feature=features,
            threshold=np.array(tree["split_conditions"], dtype=np.float32),
            left=tree["left_children"],
            right=tree["right_children"],
            missing_left=tree["default_left"],
            leaf_value=values,
            output=output,
            category_set=self._category_sets(tree, features),
        )

    def _category_sets(self, tree: Any, features: npt.NDArray[np.int64]) -> Any:
        """i64[nodes] or None. The categories that XGBoost writes down go right."""
        nodes = tree.get("categories_nodes") or []
        if not nodes:
            return None
        sets = np.full(len(features), -1)
        segments = zip(nodes, tree["categories_segments"], tree["categories_sizes"], strict=True)
        for node, start, size in segments:
            members = tree["categories"][start : start + size]
            missing_left = bool(tree["default_left"][node])
            sets[node] = self._sets.add(
                int(features[node]), members, members_left=False, missing_left=missing_left
            )
        return sets

    def arguments(self) -> dict[str, Any]:
        return {
            "n_features": self._rules.count,
            "columns": self._rules.columns,
            **self._builder.arrays(),
            **self._sets.finish(),
        }
