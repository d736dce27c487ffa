"""The extraction itself: arrays that, walked plainly, give the library's own sums bit by bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import model_zoo
from exactness import lightgbm_models, xgboost_models
from exactness.cases import lightgbm_case, xgboost_case
from exactness.counts import wrong_leaves
from exactness.gate import Case
from exactness.rows import facts_of, kinds_for, make
from slipstream.adapters import lightgbm, sklearn_trees, xgboost
from slipstream.adapters.base import quiet
from slipstream.adapters.tree_features import CATEGORICAL, CategorySets, FeatureRules
from slipstream.adapters.tree_reference import codes_of, reference, reference_leaves
from slipstream.adapters.trees import (
    CategoryRule,
    Comparison,
    Link,
    Missing,
    TreeBuilder,
    TreeEnsemble,
    UnconvertibleError,
)
from slipstream.convert import onnx_trees, proof
from slipstream.convert.onnx_graph import Graph
from slipstream.errors import ModelLoadError


def edge_rows(trees: TreeEnsemble, training: Any, count: int = 40) -> np.ndarray:
    """Rows of every kind that float32 and float64 both hold, as scikit-learn demands."""
    facts = dataclasses.replace(facts_of(trees, training), finite=True)
    return np.concatenate([make(kind, facts, count) for kind in kinds_for(facts)])


def all_rows(case: Case, count: int = 60) -> np.ndarray:
    """Rows of every kind."""
    return np.concatenate([make(kind, case.facts, count) for kind in kinds_for(case.facts)])


def holed(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[np.random.default_rng(1).random(x.shape) < 0.15] = np.nan
    return x


def test_forest_sums() -> None:
    x, _ = model_zoo.dataset("wine")
    model = model_zoo.zoo("random_forest_wine").model
    trees = sklearn_trees.extract(model)
    rows = edge_rows(trees, x)
    with quiet():
        np.testing.assert_array_equal(reference(trees, rows), model.predict_proba(rows))


def test_forest_trained_on_missing_values() -> None:
    from sklearn.ensemble import RandomForestClassifier

    x, y = model_zoo.dataset("wine")
    model = RandomForestClassifier(15, random_state=0).fit(holed(x), y)
    trees = sklearn_trees.extract(model)
    assert trees.missing_left.any()
    rows = edge_rows(trees, x)
    with quiet():
        np.testing.assert_array_equal(onnx_answers(trees, rows)[1], model.predict_proba(rows))


@pytest.mark.parametrize("name", xgboost_models.MODELS)
def test_xgboost_margins(name: str) -> None:
    case = xgboost_case(name)
    assert case.trees is not None and case.raw is not None
    rows = all_rows(case)
    margins = np.asarray(case.raw(rows)).reshape(len(rows), -1)
    np.testing.assert_array_equal(reference(case.trees, rows), margins)


@pytest.mark.parametrize("name", lightgbm_models.MODELS)
def test_lightgbm_raw_scores(name: str) -> None:
    case = lightgbm_case(name)
    assert case.trees is not None and case.raw is not None and case.leaves is not None
    rows = all_rows(case)
    raw = np.asarray(case.raw(rows)).reshape(len(rows), -1)
    np.testing.assert_array_equal(reference(case.trees, rows), raw)
    leaves = case.leaves(rows).reshape(len(rows), -1)
    assert not wrong_leaves(reference_leaves(case.trees, rows), leaves).any()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("regression", Missing.DIRECTED),
        ("zero as missing", Missing.ZERO_TOO),
        ("trained without NaN", Missing.AS_ZERO),
    ],
)
def test_lightgbm_missing_rules(name: str, rule: Missing) -> None:
    trees = lightgbm_case(name).trees
    assert trees is not None
    numeric = ~trees.is_leaf & (trees.sets_of_nodes < 0)
    assert rule in {trees.missing_of(int(feature)) for feature in trees.feature[numeric]}


def test_a_column_under_two_rules_becomes_two_features() -> None:
    width = xgboost_models.WIDTH
    for name in ("trained further on other data", "trained further on categories"):
        trees = lightgbm_case(name).trees
        assert trees is not None and trees.columns is not None
        assert trees.n_features == len(trees.columns) > width
        assert trees.columns[:width].tolist() == list(range(width))
    rules = FeatureRules(3)
    assert rules.features([0, 2, 0, 2], [1, 2, 1, 0]).tolist() == [0, 3, 0, 2]
    assert rules.features([2, 1], [0, CATEGORICAL]).tolist() == [2, 1]
    assert rules.columns is not None and rules.columns.tolist() == [0, 1, 2, 2]
    names = {0: Missing.AS_ZERO, 1: Missing.ZERO_TOO, 2: Missing.DIRECTED}
    known = rules.missing(names, Missing.AS_ZERO)
    assert known == (Missing.ZERO_TOO, Missing.AS_ZERO, Missing.AS_ZERO, Missing.DIRECTED)


def test_category_sets_are_made_when_all_are_known() -> None:
    sets = CategorySets(CategoryRule.SIGN)
    first = sets.add(4, [1, 3], members_left=True, missing_left=False)
    again = sets.add(4, [3, 1], members_left=True, missing_left=False)
    other = sets.add(4, [5], members_left=False, missing_left=True)
    assert (first, again, other) == (0, 0, 1)
    made = sets.finish()
    assert made["categories"][4].count == 6
    assert made["category_sets"][0].tolist() == [0, 1, 0, 1, 0, 0, 0, 0]
    assert made["category_sets"][1].tolist() == [1, 1, 1, 1, 1, 0, 1, 1]
    large = CategorySets(CategoryRule.SIGN)
    large.add(0, [1 << 28], members_left=True, missing_left=False)
    with pytest.raises(UnconvertibleError, match="too large"):
        large.finish()


def test_codes_of_categories() -> None:
    from slipstream.adapters.trees import Category

    values = np.array([0.0, 2.9, 3.0, -0.5, -1.0, np.nan, np.inf, 1.0])
    known = np.array([True, False, True])
    for rule, expected in (
        (CategoryRule.TRUNCATE, [0, 2, 3, 0, 3, 4, 3, 1]),
        (CategoryRule.SIGN, [0, 2, 3, 3, 3, 4, 3, 1]),
        (CategoryRule.KNOWN, [0, 2, 4, 4, 4, 4, 4, 4]),
    ):
        assert codes_of(Category(3, rule, known), values).tolist() == expected


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_graph_answers_alike_or_says_why_not(library: str) -> None:
    """ONNX is the way for trees inside of models that the forest backend does not know."""
    models = xgboost_models.MODELS if library == "xgboost" else lightgbm_models.MODELS
    make_case = xgboost_case if library == "xgboost" else lightgbm_case
    refused = {}
    for name in models:
        case = make_case(name)
        assert case.trees is not None
        rows = make("plain", case.facts, 100)
        try:
            answers, probabilities = onnx_answers(case.trees, rows)
        except UnconvertibleError as error:
            refused[name] = str(error)
            continue
        with quiet():
            expected = np.asarray(case.served.predict(rows))
        if case.served.classes:
            assert (case.served.classes[0][answers] == expected).mean() > 0.99, name
            if case.served.predict_proba is not None:
                shares = case.served.predict_proba(rows)[0]
                np.testing.assert_allclose(probabilities, shares, atol=1e-5)
        else:
            np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=2e-5)
    expected_words = ("categor", "as missing", "two ways", "without probabilities", "several")
    assert refused
    for name, reason in refused.items():
        assert any(word in reason for word in expected_words), (name, reason)


def test_what_the_form_cannot_express_is_said() -> None:
    import lightgbm as library
    import xgboost as other

    x, y = model_zoo.dataset("diabetes")
    linear = library.LGBMRegressor(n_estimators=2, linear_tree=True, verbose=-1).fit(x, y)
    with pytest.raises(UnconvertibleError, match="linear"):
        lightgbm.extract(linear)
    with pytest.raises(UnconvertibleError, match="gblinear"):
        xgboost.extract(other.XGBRegressor(n_estimators=2, booster="gblinear").fit(x, y))
    two = other.XGBClassifier(n_estimators=2, objective="multi:softprob", num_class=2)
    with pytest.raises(UnconvertibleError, match="two classes"):
        xgboost.extract(two.fit(x, y > 140))
    early = library.LGBMClassifier(n_estimators=2, verbose=-1, pred_early_stop=True)
    with pytest.raises(UnconvertibleError, match="stops early"):
        lightgbm.extract(early.fit(x, y > 140))
    deep = Link.STEP  # a link that no graph has
    trees = xgboost_case("binary, hinge").trees
    assert trees is not None and trees.link is deep
    with pytest.raises(UnconvertibleError):
        onnx_trees.emit(Graph(trees.n_features), "input", trees)


def test_damaged_lightgbm_text_is_refused() -> None:
    from slipstream.adapters.lightgbm_trees import forest_of

    text = lightgbm_case("regression").served.estimator.booster_.model_to_string()
    assert forest_of(text, 1, xgboost_models.WIDTH)
    for old, new in (
        ("left_child=", "left_child=7777 "),
        ("leaf_value=", "leaf_value=x "),
        ("num_leaves=31", "num_leaves=30"),
        ("split_feature=", "split_feature=99 "),
    ):
        assert old in text
        with pytest.raises((ModelLoadError, UnconvertibleError)):
            forest_of(text.replace(old, new, 1), 1, xgboost_models.WIDTH)


def test_numbers_of_the_text_keep_every_bit() -> None:
    from slipstream.adapters.lightgbm_trees import _doubles

    rng = np.random.default_rng(0)
    values = rng.integers(0, 0x7FE << 52, size=20_000, dtype=np.int64).view(np.float64)
    values[::2] *= -1
    text = " ".join(f"{value:.17g}" for value in values)
    np.testing.assert_array_equal(_doubles(text), values)


def test_categories_by_name_are_refused_and_numbers_are_not() -> None:
    import pandas as pd
    import xgboost as library

    x, score = xgboost_models.data()
    frame = pd.DataFrame({"a": x[:, 0], "b": np.array(["u", "v", "w"])[x[:, 6].astype(int) % 3]})
    frame["b"] = frame["b"].astype("category")
    named = library.XGBRegressor(n_estimators=2, enable_categorical=True).fit(frame, score)
    with pytest.raises(ModelLoadError, match="OrdinalEncoder"):
        xgboost.serve(named)
    assert xgboost_case("categories, one-hot").served.width == xgboost_models.WIDTH


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
    trees = TreeEnsemble(
        n_features=2, n_outputs=1, comparison=Comparison.LE_F64, **builder.arrays()
    ).check()
    rows = np.array([[-1.0, 4.0], [-1.0, 6.0], [1.0, 0.0]])
    assert reference(trees, rows).ravel().tolist() == [1.0, 2.0, 3.0]


def onnx_answers(trees: TreeEnsemble, rows: np.ndarray) -> tuple[np.ndarray, Any]:
    """(predictions, probabilities) of the emitted graph, at once and row by row."""
    graph = Graph(trees.n_features)
    predictions, probabilities = onnx_trees.emit(graph, "input", trees)
    dtype = np.float32 if trees.float32_answers else np.float64
    tail = (trees.n_outputs,) if trees.n_outputs > 1 else ()
    if probabilities:
        graph.output("predictions", predictions, np.int64, ())
        graph.output("probabilities", probabilities, dtype, (max(trees.n_outputs, 2),))
    else:
        graph.output("predictions", predictions, dtype, tail)
    session = proof.OnnxSession(graph.to_bytes())
    found = session.run([rows])
    for row in range(0, len(rows), 40):
        for name, one in session.run([rows[[row]]]).items():
            np.testing.assert_allclose(one[0], found[name][row], rtol=1e-5, atol=1e-9)
    return found["predictions"], found.get("probabilities")


def test_trees_that_are_a_single_leaf() -> None:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    x = np.arange(12.0).reshape(-1, 2)
    lone = DecisionTreeRegressor().fit(x, np.full(6, 2.5))
    assert lone.tree_.node_count == 1
    np.testing.assert_array_equal(onnx_answers(sklearn_trees.extract(lone), x)[0], lone.predict(x))
    stump = DecisionTreeClassifier(max_depth=1, min_samples_split=10).fit(x, np.arange(6) % 3)
    assert stump.tree_.node_count == 1
    labels, probabilities = onnx_answers(sklearn_trees.extract(stump), x)
    np.testing.assert_array_equal(probabilities, stump.predict_proba(x))
    np.testing.assert_array_equal(labels, stump.predict(x))
