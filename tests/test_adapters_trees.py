"""The extraction itself: arrays that, walked plainly, give the library's own sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import model_zoo
from slipstream.adapters import lightgbm, sklearn_trees, xgboost
from slipstream.adapters.trees import (
    Missing,
    TreeBuilder,
    TreeEnsemble,
    UnconvertibleError,
    reference,
)
from slipstream.convert import onnx_trees, proof
from slipstream.convert.onnx_graph import Graph
from slipstream.convert.probe import _around_thresholds, with_missing
from slipstream.errors import ModelLoadError


def edge_rows(trees: TreeEnsemble, count: int = 400) -> np.ndarray:
    """Exact thresholds and their neighbours, zeros, near-zeros and missing values."""
    rng = np.random.default_rng(5)
    rows = with_missing(_around_thresholds(trees, count, rng))
    rows[rng.random(rows.shape) < 0.05] = 0.0
    rows[rng.random(rows.shape) < 0.05] = 1e-36
    rows[rng.random(rows.shape) < 0.05] = -0.0
    return rows


def holed(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[np.random.default_rng(1).random(x.shape) < 0.15] = np.nan
    return x


def test_forest_sums() -> None:
    model = model_zoo.zoo("random_forest_wine").model
    trees = sklearn_trees.extract(model)
    rows = edge_rows(trees, 150)
    np.testing.assert_array_equal(reference(trees, rows), model.predict_proba(rows))


def test_forest_trained_on_missing_values() -> None:
    from sklearn.ensemble import RandomForestClassifier

    x, y = model_zoo.dataset("wine")
    model = RandomForestClassifier(15, random_state=0).fit(holed(x), y)
    trees = sklearn_trees.extract(model)
    assert trees.missing_left.any()
    rows = edge_rows(trees)
    np.testing.assert_array_equal(onnx_sums(trees, rows)[1], model.predict_proba(rows))


@pytest.mark.parametrize("missing_rule", ["nan", "zero", "none"])
def test_lightgbm_missing_rules(missing_rule: str) -> None:
    import lightgbm as library

    x, y = model_zoo.dataset("digits")
    rules: dict[str, Any] = {"nan": {}, "zero": {"zero_as_missing": True}, "none": {}}
    model = library.LGBMClassifier(
        n_estimators=5, verbose=-1, random_state=0, **rules[missing_rule]
    )
    model.fit(holed(x) if missing_rule == "nan" else x, y)
    trees = lightgbm.extract(model)
    expected = {"nan": Missing.DIRECTED, "zero": Missing.ZERO_TOO, "none": Missing.AS_ZERO}
    used = {trees.missing_of(int(f)) for f in trees.feature[~trees.is_leaf]}
    assert expected[missing_rule] in used
    rows = edge_rows(trees)
    raw = model.predict(rows, raw_score=True)
    np.testing.assert_allclose(reference(trees, rows[:100]), raw[:100], atol=1e-9)
    labels, probabilities = onnx_sums(trees, rows)
    np.testing.assert_array_equal(labels, model.predict(rows))
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), atol=1e-12)


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_xgboost_sums(booster: str) -> None:
    import xgboost as library

    x, y = model_zoo.dataset("wine")
    model = library.XGBClassifier(
        n_estimators=8, booster=booster, num_parallel_tree=2, subsample=0.7,
        random_state=0, n_jobs=1, **({"rate_drop": 0.3} if booster == "dart" else {}),
    ).fit(holed(x), y)  # fmt: skip
    trees = xgboost.extract(model)
    rows = edge_rows(trees)
    margins = model.predict(rows, output_margin=True)
    np.testing.assert_allclose(reference(trees, rows[:100]), margins[:100], atol=1e-5)
    labels, probabilities = onnx_sums(trees, rows)
    np.testing.assert_array_equal(labels, model.predict(rows))
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), atol=1e-6)


@pytest.mark.parametrize(
    "objective", ["reg:squarederror", "reg:logistic", "count:poisson", "reg:gamma", "reg:tweedie"]
)
def test_xgboost_objectives(objective: str) -> None:
    import xgboost as library

    x, y = model_zoo.dataset("diabetes")
    target = y / y.max() if objective == "reg:logistic" else y
    model = library.XGBRegressor(n_estimators=6, objective=objective, random_state=0)
    model.fit(x, target)
    found = onnx_sums(xgboost.extract(model), x)[0]
    np.testing.assert_allclose(found, model.predict(x), rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "poisson"},
        {"objective": "regression", "reg_sqrt": True},
        {"objective": "quantile"},
        {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"boosting_type": "dart"},
    ],
)
def test_lightgbm_objectives(options: dict[str, Any]) -> None:
    import lightgbm as library

    x, y = model_zoo.dataset("diabetes")
    model = library.LGBMRegressor(n_estimators=6, verbose=-1, random_state=0, **options).fit(x, y)
    found = onnx_sums(lightgbm.extract(model), x)[0]
    np.testing.assert_allclose(found, model.predict(x), rtol=1e-9)


def test_what_the_form_cannot_express_is_said() -> None:
    import lightgbm as library
    import xgboost as other
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y = model_zoo.dataset("diabetes")
    linear = library.LGBMRegressor(n_estimators=2, linear_tree=True, verbose=-1).fit(x, y)
    with pytest.raises(UnconvertibleError, match="linear"):
        lightgbm.extract(linear)
    with pytest.raises(UnconvertibleError, match="gblinear"):
        xgboost.extract(other.XGBRegressor(n_estimators=2, booster="gblinear").fit(x, y))
    codes = np.column_stack([np.arange(200) % 5, np.arange(200) % 3]).astype(float)
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0])
    with pytest.raises(UnconvertibleError, match="categorical"):
        sklearn_trees.extract(model.fit(codes, np.arange(200) % 5 > 2))


def test_damaged_links_are_refused() -> None:
    def tree(left: list[int], right: list[int]) -> None:
        nodes = len(left)
        TreeBuilder().add(
            feature=np.zeros(nodes), threshold=np.zeros(nodes), left=left, right=right,
            missing_left=np.zeros(nodes, bool), leaf_value=np.zeros(nodes), output=0,
        )  # fmt: skip

    tree([1, -1, -1], [2, -1, -1])
    for left, right in (([1, 0, -1], [2, 2, -1]), ([5, -1, -1], [2, -1, -1]), ([1, -1], [1, -1])):
        with pytest.raises(ModelLoadError):
            tree(left, right)


def test_children_before_their_parents_are_put_in_order() -> None:
    builder = TreeBuilder()
    builder.add(
        feature=[0, 0, 1, 0, 0], threshold=[0.0, 0, 5.0, 0, 0], left=[2, -1, 1, -1, -1],
        right=[4, -1, 3, -1, -1], missing_left=[False] * 5, leaf_value=[0, 1.0, 0, 2.0, 3.0],
        output=0,
    )  # fmt: skip
    from slipstream.adapters.trees import Comparison

    trees = TreeEnsemble(
        n_features=2, n_outputs=1, comparison=Comparison.LE_F64, **builder.arrays()
    ).check()
    rows = np.array([[-1.0, 4.0], [-1.0, 6.0], [1.0, 0.0]])
    assert reference(trees, rows).ravel().tolist() == [1.0, 2.0, 3.0]


def onnx_sums(trees: TreeEnsemble, rows: np.ndarray) -> tuple[np.ndarray, Any]:
    """(predictions, probabilities) of the emitted graph, at once and row by row."""
    graph = Graph(trees.n_features)
    predictions, probabilities = onnx_trees.emit(graph, "input", trees)
    dtype = np.float32 if trees.float32_answers else np.float64
    graph.output("predictions", predictions, np.int64 if probabilities else dtype, ())
    if probabilities:
        graph.output("probabilities", probabilities, dtype, (max(trees.n_outputs, 2),))
    session = proof.session_of(graph.to_bytes())
    found = session.run(None, {"input": rows})
    for row in range(0, len(rows), 40):
        alone = session.run(None, {"input": rows[[row]]})
        for one, many in zip(alone, found, strict=True):
            np.testing.assert_allclose(one[0], many[row], rtol=1e-6, atol=1e-12)
    return found[0], found[1] if probabilities else None


def test_trees_that_are_a_single_leaf() -> None:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    x = np.arange(12.0).reshape(-1, 2)
    lone = DecisionTreeRegressor().fit(x, np.full(6, 2.5))
    assert lone.tree_.node_count == 1
    np.testing.assert_array_equal(onnx_sums(sklearn_trees.extract(lone), x)[0], lone.predict(x))
    stump = DecisionTreeClassifier(max_depth=1, min_samples_split=10).fit(x, np.arange(6) % 3)
    assert stump.tree_.node_count == 1
    labels, probabilities = onnx_sums(sklearn_trees.extract(stump), x)
    np.testing.assert_array_equal(probabilities, stump.predict_proba(x))
    np.testing.assert_array_equal(labels, stump.predict(x))
