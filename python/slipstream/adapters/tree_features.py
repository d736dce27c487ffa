"""Features of an ensemble in the making: one rule each, and the category sets of their nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slipstream.adapters.trees import (
    I32,
    Bools,
    Category,
    CategoryRule,
    Missing,
    UnconvertibleError,
)

CATEGORICAL = -1
"""Stands beside the numbers of a library's rules for missing values."""

_RULES = 8
"""More than any library has, `CATEGORICAL` among them."""
_MOST_SET_BITS = 1 << 28


class FeatureRules:
    """Gives every feature one rule.

    A library keeps the rule with the node; a booster that was trained further on other data may use
    a column under two rules. The column then becomes two features.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._rule: dict[int, int] = {}
        self._column = list(range(width))
        self._copies: dict[tuple[int, int], int] = {}

    def features(self, columns: Any, rules: Any) -> npt.NDArray[np.int64]:
        """i64[nodes]: the feature for each node that looks at ``columns`` under ``rules``."""
        shifted = np.asarray(rules, dtype=np.int64) - CATEGORICAL
        pairs = np.asarray(columns, dtype=np.int64) * _RULES + shifted
        distinct, inverse = np.unique(pairs, return_inverse=True)
        found = [self._feature(*divmod(pair, _RULES)) for pair in distinct.tolist()]
        return np.array(found, dtype=np.int64)[inverse]

    def _feature(self, column: int, shifted: int) -> int:
        rule = shifted + CATEGORICAL
        if not 0 <= column < self._width:
            raise UnconvertibleError(f"a node looks at column {column} of {self._width}")
        if self._rule.setdefault(column, rule) == rule:
            return column
        copy = self._copies.get((column, rule))
        if copy is None:
            copy = self._copies[column, rule] = len(self._column)
            self._column.append(column)
            self._rule[copy] = rule
        return copy

    @property
    def count(self) -> int:
        """Features so far, the copies among them."""
        return len(self._column)

    @property
    def columns(self) -> I32 | None:
        """The ``columns`` of a `TreeEnsemble`."""
        return np.array(self._column, dtype=np.int32) if self._copies else None

    def missing(self, names: Mapping[int, Missing], default: Missing) -> tuple[Missing, ...]:
        """The ``missing`` of a `TreeEnsemble`; features that no node looks at get ``default``."""
        rules = (self._rule.get(feature) for feature in range(self.count))
        return tuple(names.get(rule, default) if rule is not None else default for rule in rules)


@dataclass(frozen=True)
class _Set:
    feature: int
    members: npt.NDArray[np.int64]
    members_left: bool
    missing_left: bool


class CategorySets:
    """Collects the category sets of an ensemble; equal ones are kept once.

    How many categories a feature has is known only when all of its sets are, so the bits are made
    at the end.
    """

    def __init__(self, rule: CategoryRule) -> None:
        self._rule = rule
        self._sets: list[_Set] = []
        self._places: dict[tuple[Any, ...], int] = {}
        self._counts: dict[int, int] = {}

    def add(self, feature: int, members: Any, *, members_left: bool, missing_left: bool) -> int:
        """The number of the set for a node of ``feature``.

        ``members`` are categories; they go left if ``members_left``, all others go the other way.
        """
        codes = np.unique(np.asarray(members, dtype=np.int64))
        key = (feature, codes.tobytes(), members_left, missing_left)
        place = self._places.setdefault(key, len(self._sets))
        if place == len(self._sets):
            self._sets.append(_Set(feature, codes, members_left, missing_left))
            largest = int(codes[-1]) + 1 if len(codes) else 1
            self._counts[feature] = max(self._counts.get(feature, 1), largest)
        return place

    def finish(self) -> dict[str, Any]:
        """The keyword arguments of `TreeEnsemble` about categories.

        Raises:
            UnconvertibleError: The sets hold more bits than are worth a table.
        """
        bits = sum(self._counts[one.feature] + 2 for one in self._sets)
        if bits > _MOST_SET_BITS:
            raise UnconvertibleError(f"its category sets hold {bits} bits: the codes are too large")
        categories = {
            feature: Category(count, self._rule) for feature, count in self._counts.items()
        }
        return {
            "category_sets": tuple(self._bits(one) for one in self._sets),
            "categories": categories,
        }

    def _bits(self, one: _Set) -> Bools:
        bits = np.full(self._counts[one.feature] + 2, not one.members_left, dtype=np.bool_)
        bits[one.members] = one.members_left
        bits[-1] = one.missing_left
        return bits
