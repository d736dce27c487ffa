"""The trees of a LightGBM model, from its text form."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slipstream.adapters.tree_features import CATEGORICAL, CategorySets, FeatureRules
from slipstream.adapters.trees import CategoryRule, Missing, TreeBuilder, UnconvertibleError
from slipstream.errors import ModelLoadError

_MISSING_TYPES = {0: Missing.AS_ZERO, 1: Missing.ZERO_TOO, 2: Missing.DIRECTED}
_MISSING_SHIFT, _MISSING_MASK = 2, 3
_CATEGORICAL_BIT = 1
_DEFAULT_LEFT_BIT = 2
_WORD_BITS = 32


def forest_of(text: str, outputs: int, width: int) -> dict[str, Any]:
    """The keyword arguments of `TreeEnsemble` that the trees determine.

    Args:
        text: The model as LightGBM writes it.
        outputs: Trees per round; the trees add to the outputs in turn.
        width: Columns of a row.

    Raises:
        UnconvertibleError: Leaves that are linear models.
        ModelLoadError: The text is damaged.
    """
    reader = _Reader(width)
    for number, block in enumerate(text.split("\nTree=")[1:]):
        body = block.partition("\n\n")[0]
        fields = dict(line.split("=", 1) for line in body.splitlines()[1:] if "=" in line)
        try:
            reader.add(fields, number % outputs)
        except (KeyError, ValueError, IndexError) as error:
            raise ModelLoadError(f"tree {number} of the model is damaged: {error!r}") from error
    return reader.arguments()


class _Reader:
    def __init__(self, width: int) -> None:
        self._builder = TreeBuilder()
        self._rules = FeatureRules(width)
        self._sets = CategorySets(CategoryRule.TRUNCATE)

    def add(self, fields: dict[str, str], output: int) -> None:
        if int(fields.get("is_linear", "0")):
            raise UnconvertibleError("its leaves are linear models")
        leaves = _doubles(fields["leaf_value"])
        inner = int(fields["num_leaves"]) - 1
        if inner == 0:
            self._builder.add(
                feature=[0], threshold=[0.0], left=[-1], right=[-1], missing_left=[False],
                leaf_value=leaves[:1], output=output,
            )  # fmt: skip
            return
        kinds = _integers(fields["decision_type"])
        by_category = (kinds & _CATEGORICAL_BIT) != 0
        rules = np.where(by_category, CATEGORICAL, (kinds >> _MISSING_SHIFT) & _MISSING_MASK)
        features = self._rules.features(_integers(fields["split_feature"]), rules)
        thresholds = _doubles(fields["threshold"])
        none, ends = np.zeros(len(leaves)), np.full(len(leaves), -1)
        self._builder.add(
            feature=np.concatenate([features, none]),
            threshold=np.concatenate([thresholds, none]),
            left=np.concatenate([_children(fields["left_child"], inner), ends]),
            right=np.concatenate([_children(fields["right_child"], inner), ends]),
            missing_left=np.concatenate(
                [((kinds & _DEFAULT_LEFT_BIT) != 0) & ~by_category, none.astype(bool)]
            ),
            leaf_value=np.concatenate([np.zeros(inner), leaves]),
            output=output,
            category_set=np.concatenate(
                [self._category_sets(fields, by_category, features, thresholds), ends]
            ),
        )

    def _category_sets(
        self, fields: dict[str, str], by_category: Any, features: Any, thresholds: Any
    ) -> npt.NDArray[np.int64]:
        """i64[inner]. At a categorical node the threshold says which bits of the tree are its."""
        sets = np.full(len(features), -1, dtype=np.int64)
        nodes = np.flatnonzero(by_category)
        if not len(nodes):
            return sets
        starts, words = _integers(fields["cat_boundaries"]), _integers(fields["cat_threshold"])
        bits = np.arange(_WORD_BITS)
        for node in nodes:
            place = int(thresholds[node])
            chosen = words[starts[place] : starts[place + 1]]
            members = np.flatnonzero((chosen[:, None] >> bits) & 1)
            sets[node] = self._sets.add(
                int(features[node]), members, members_left=True, missing_left=False
            )
        return sets

    def arguments(self) -> dict[str, Any]:
        return {
            "n_features": self._rules.count,
            "columns": self._rules.columns,
            "missing": self._rules.missing(_MISSING_TYPES, Missing.AS_ZERO),
            **self._builder.arrays(),
            **self._sets.finish(),
        }


def _doubles(text: str) -> npt.NDArray[np.float64]:
    """Every bit as it was: the text has 17 digits, and NumPy rounds as C's strtod does."""
    return np.array(text.split(), dtype=np.float64)


def _integers(text: str) -> npt.NDArray[np.int64]:
    return np.array(text.split(), dtype=np.int64)


def _children(text: str, inner: int) -> npt.NDArray[np.int64]:
    """LightGBM writes leaf i as ~i; here the leaves follow the inner nodes."""
    children = _integers(text)
    return np.where(children < 0, inner + ~children, children)
