"""What a `TreeEnsemble` means, in NumPy: walked plainly, one tree after the other.

Quick enough for 100,000 rows of 100 trees; conversions are held against it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from slipstream.adapters.trees import (
    F64,
    I32,
    Category,
    CategoryRule,
    Comparison,
    Missing,
    TreeEnsemble,
)


def reference(trees: TreeEnsemble, rows: F64) -> F64:
    """The sums, f64[rows, n_outputs], as `TreeEnsemble` defines them: plain, for tests.

    ``rows`` is f64[rows, n_features]. Applies base and divisor, not the link; sums that the library
    makes in float32 are made so and then widened.
    """
    dtype = np.float32 if trees.float32_answers else np.float64
    sums = np.tile(trees.base.astype(dtype), (len(rows), 1))
    values = trees.leaf_value.astype(dtype)
    for tree, reached in enumerate(_walk(trees, rows)):
        output = int(trees.tree_output[tree])
        if output < 0:
            sums += values[reached]
        else:
            sums[:, output] += values[reached, 0]
    if trees.divisor != 1.0:
        sums /= dtype(trees.divisor)
    return sums.astype(np.float64)


def reference_leaves(trees: TreeEnsemble, rows: F64) -> I32:
    """i32[rows, trees]: the node of ``trees`` that each row reaches in each tree."""
    return np.stack(list(_walk(trees, rows)), axis=1).astype(np.int32)


def _walk(trees: TreeEnsemble, rows: F64) -> Iterator[npt.NDArray[np.int64]]:
    """For each tree the node that every row reaches."""
    columns = prepared_columns(trees, rows)
    sets = trees.sets_of_nodes
    flat = np.concatenate([np.zeros(1, dtype=np.bool_), *trees.category_sets])
    starts = np.cumsum([1, *map(len, trees.category_sets)])
    every = np.arange(len(rows))
    for root in trees.roots:
        node = np.full(len(rows), root, dtype=np.int64)
        moving = every
        while len(moving):
            at = node[moving]
            moving = moving[trees.left[at] >= 0]
            at = node[moving]
            value = columns[trees.feature[at], moving]
            if trees.comparison is Comparison.LT_F32:
                go_left = value < trees.threshold[at]
            else:
                go_left = value <= trees.threshold[at]
            go_left |= np.isnan(value) & trees.missing_left[at]
            split = np.flatnonzero(sets[at] >= 0)
            if len(split):
                codes = value[split].astype(np.int64)
                go_left[split] = flat[starts[sets[at[split]]] + codes]
            node[moving] = np.where(go_left, trees.left[at], trees.right[at])
        yield node


def prepared_columns(trees: TreeEnsemble, rows: F64) -> F64:
    """f64[n_features, rows] as nodes see them: rounded, flushed, NaN where missing, or codes."""
    chosen = rows if trees.columns is None else rows[:, trees.columns]
    columns = np.array(chosen.T, dtype=np.float64, order="C")
    missing_value = np.float64(trees.missing_value)
    if trees.comparison is not Comparison.LE_F64:
        with np.errstate(over="ignore"):
            columns = columns.astype(np.float32).astype(np.float64)
            missing_value = missing_value.astype(np.float32).astype(np.float64)
    columns[columns == missing_value] = np.nan
    near_zero = np.abs(columns) <= float(np.float32(1e-35))
    if trees.zero_flush:
        columns[near_zero] = 0.0
    for feature in range(trees.n_features):
        category = trees.categories.get(feature)
        if category is not None:
            columns[feature] = codes_of(category, columns[feature])
            continue
        rule = trees.missing_of(feature)
        if rule is Missing.AS_ZERO:
            columns[feature, np.isnan(columns[feature])] = 0.0
        elif rule is Missing.ZERO_TOO:
            columns[feature, near_zero[feature]] = np.nan
    return columns


def codes_of(category: Category, values: F64) -> F64:
    """The code of each value: a category below ``count``, count (other) or count + 1 (missing)."""
    other, missing = float(category.count), float(category.count + 1)
    whole = np.trunc(values)
    inside = (whole >= 0) & (whole < category.count)
    codes = np.where(inside, whole, other)
    if category.rule is not CategoryRule.TRUNCATE:
        outside = other if category.rule is CategoryRule.SIGN else missing
        codes = np.where(values < 0, outside, codes)
    if category.rule is CategoryRule.KNOWN and category.known is not None:
        known = np.append(category.known, [False, False])[codes.astype(np.int64)]
        codes = np.where(known, codes, missing)
    return np.where(np.isnan(values), missing, codes)
