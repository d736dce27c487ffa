"""The gate for XGBoost and LightGBM, by the backend that serves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from exactness import gate, lightgbm_models, xgboost_models
from exactness.cases import lightgbm_case, xgboost_case
from exactness.counts import Count, Table, sum_of
from slipstream.errors import InvalidInputError

_SOFTMAX_ULPS = 16
"""For multi:softmax the probabilities are SciPy's in float32, with NumPy's own exp and sum."""


def counted(case: gate.Case, counts: Table, folder: Path) -> Count:
    found = gate.run(case, folder)
    for kind, count in found.items():
        counts[case.library, case.name, kind] = count
    total = sum_of(found.values())
    assert total.wrong_leaves == 0, f"{total.wrong_leaves} of {total.leaves} decisions differ"
    assert total.wrong_labels == 0, f"{total.wrong_labels} of {total.labels} labels differ"
    return total


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", xgboost_models.MODELS)
def test_xgboost(name: str, counts: Table, tmp_path: Path) -> None:
    total = counted(xgboost_case(name), counts, tmp_path)
    assert total.ulps <= 1
    assert total.answer_ulps <= (_SOFTMAX_ULPS if name == "softmax" else 1)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", lightgbm_models.MODELS)
def test_lightgbm(name: str, counts: Table, tmp_path: Path) -> None:
    total = counted(lightgbm_case(name), counts, tmp_path)
    assert total.other_bits == 0, f"{total.other_bits} of {total.scores} raw scores differ"
    assert total.answer_ulps <= 4


ALGORITHMS = [
    *(f"{name}@avx512" for name in ("lockstep", "blocks")),  # of byte permutations
    *(
        f"{algorithm}@{instructions}"
        for algorithm in ("walk", "sweep")
        for instructions in ("avx512", "avx2", "portable")
    ),
]
SHAPES = [
    (xgboost_case, "binary, deep"),
    (xgboost_case, "targets, vector leaves"),
    (xgboost_case, "categories, partition"),
    (xgboost_case, "squarederror, lone leaves"),
    (xgboost_case, "large"),
    (lightgbm_case, "zero as missing"),
    (lightgbm_case, "multiclass, 25 classes"),
    (lightgbm_case, "categories, multiclass"),
    (lightgbm_case, "wide"),
    (lightgbm_case, "large"),
]
_MISFITS = ("do not fit the algorithm", "this processor or build has no")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "plain"])
def test_every_algorithm(algorithm: str, counts: Table, tmp_path: Path) -> None:
    """What "auto" may choose, on trees of every shape; which one it takes is a matter of time."""
    rows = max(gate.ROWS_PER_KIND // 4, 25)
    skipped = []
    for make, name in SHAPES:
        case = make(name)
        try:
            found = gate.run(case, tmp_path, rows, algorithm)
        except InvalidInputError as error:
            assert any(reason in str(error) for reason in _MISFITS), error
            skipped.append(str(error))
            continue
        total = sum_of(found.values())
        counts["algorithm", f"{case.library} {name}", algorithm] = total
        assert (total.wrong_leaves, total.wrong_labels, total.other_bits) == (0, 0, 0), name
    if len(skipped) == len(SHAPES):
        pytest.skip(skipped[0])


def test_the_gate_sees_a_difference(tmp_path: Path) -> None:
    """One threshold moved by one ulp, one leaf by one ulp: the counts say so."""
    case = lightgbm_case("regression")
    trees = case.trees
    assert trees is not None
    root = int(trees.roots[0])
    threshold = trees.threshold.copy()
    threshold[root] = np.nextafter(threshold[root], -np.inf)
    moved = dataclasses.replace(case, trees=dataclasses.replace(trees, threshold=threshold))
    assert gate.run(moved, tmp_path, 400)["at thresholds"].wrong_leaves > 0
    leaf_value = trees.leaf_value.copy()
    leaf = int(np.flatnonzero(trees.is_leaf)[0])
    leaf_value[leaf] = np.nextafter(leaf_value[leaf], np.inf)
    other = dataclasses.replace(case, trees=dataclasses.replace(trees, leaf_value=leaf_value))
    totals = gate.run(other, tmp_path, 400)
    assert sum(count.other_bits for count in totals.values()) > 0
    assert sum(count.wrong_leaves for count in totals.values()) == 0
