"""Pipelines, and predictors made of predictors: their answers are scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exactness.counts import ulps
from exactness.sklearn_models import classes, holed, table
from exactness.sklearn_steps import ENCODING, SCALING, columns, encoder
from slipstream.adapters import sklearn as adapter
from slipstream.adapters.base import Served
from slipstream.convert import forest_sklearn, probe_tables, proof
from slipstream.convert.forest_session import ForestSession
from slipstream.errors import InvalidInputError

ROWS = 400


def _forest(count: int = 8) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(count, max_depth=6, random_state=0)


def _boosted() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=6, random_state=0)


def _combined(name: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        from sklearn import ensemble

        members = [("forest", _forest()), ("boosted", _boosted())]
        return getattr(ensemble, name)(members, **options)

    return make


def _calibrated(method: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        from sklearn.calibration import CalibratedClassifierCV

        return CalibratedClassifierCV(_forest(), method=method, cv=2, **options)

    return make


def _piped(*steps: Callable[[], Any]) -> Callable[[], Any]:
    def make() -> Any:
        from sklearn.pipeline import make_pipeline

        return make_pipeline(*(step() for step in steps))

    return make


def _one_vs_rest(member: Callable[[], Any]) -> Callable[[], Any]:
    def make() -> Any:
        from sklearn.multiclass import OneVsRestClassifier

        return OneVsRestClassifier(member())

    return make


def _searched() -> Any:
    from sklearn.model_selection import GridSearchCV

    return GridSearchCV(_forest(), {"max_depth": [2, 4]}, cv=2)


def _per_target() -> Any:
    from sklearn.multioutput import MultiOutputClassifier

    return MultiOutputClassifier(_boosted())


COMBINED: dict[str, Callable[[], Any]] = {
    "scaled forest": _piped(SCALING["standard"], _forest),
    "columns, forest": _piped(columns, _forest),
    "soft voting": _combined("VotingClassifier", voting="soft", weights=[1.0, 2.5]),
    "hard voting": _combined("VotingClassifier", weights=[1.0, 2.5]),
    "stack": _combined("StackingClassifier", final_estimator=_forest(), cv=2),
    "stack, passed through": _combined(
        "StackingClassifier", final_estimator=_forest(), cv=2, passthrough=True
    ),
    "calibrated, sigmoid": _calibrated("sigmoid"),
    "calibrated, isotonic": _calibrated("isotonic"),
    "calibrated, temperature": _calibrated("temperature"),
    "calibrated, one forest": _calibrated("sigmoid", ensemble=False),
    "one-vs-rest": _one_vs_rest(_forest),
    "one-vs-rest, boosted": _one_vs_rest(_boosted),
    "search": _searched,
    "per target": _per_target,
}


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", COMBINED)
def test_combinations_answer_as_scikit_learn_does(name: str, count: int, tmp_path: Path) -> None:
    x, y = table()
    target = classes(y, count)
    if name == "per target":
        target = np.column_stack([target, classes(-y, 3)])
    served = adapter.serve(COMBINED[name]().fit(x, target))
    assert_same(served, tmp_path)


def assert_same(served: Served, folder: Path) -> None:
    """Labels equal, probabilities and numbers to the last digits, on probe rows."""
    model = forest_sklearn.convert(served)
    assert model.summed_alike
    file = folder / "model.forest"
    file.write_bytes(model.data)
    original = proof.ask_original(served)
    with ForestSession(file) as session:
        verdict = proof.prove(session, original, proof.SAME_SUMS)
    assert verdict.agrees, verdict.text


def test_transformed_targets(tmp_path: Path) -> None:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.preprocessing import StandardScaler

    x, y = table()
    forest = RandomForestRegressor(6, random_state=0)
    hist = HistGradientBoostingRegressor(max_iter=6)
    for model in (
        TransformedTargetRegressor(forest, func=np.log1p, inverse_func=np.expm1),
        TransformedTargetRegressor(hist, transformer=StandardScaler()),
    ):
        assert_same(adapter.serve(model.fit(x, np.abs(y))), tmp_path)


def test_a_vote_of_float32_members_is_counted_in_float32(tmp_path: Path) -> None:
    from sklearn.ensemble import VotingClassifier
    from xgboost import XGBClassifier

    x, y = table()
    members = [
        (str(seed), XGBClassifier(n_estimators=6, subsample=0.5, random_state=seed, n_jobs=1))
        for seed in range(5)
    ]
    model = VotingClassifier(members, voting="soft").fit(x, classes(y, 2))
    assert_same(adapter.serve(model), tmp_path)
    with ForestSession(tmp_path / "model.forest") as session:
        found = session.run([np.ascontiguousarray(x)])["probabilities"]
    assert (found == model.predict_proba(x)).all()


@pytest.mark.parametrize("selects", [False, True])
def test_a_category_is_refused_though_no_column_comes_of_it(selects: bool, tmp_path: Path) -> None:
    """A column of one category that drop="first" leaves nothing of, or that is not selected."""
    from sklearn.feature_selection import SelectKBest
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(0, 4, 300), rng.integers(0, 1, 300)]).astype(float)
    codes[:, 1] = 7.0 if not selects else rng.integers(0, 2, 300)
    target = (codes[:, 0] > 1).astype(int)
    steps = [OneHotEncoder(drop=None if selects else "first"), _forest(4)]
    if selects:
        steps.insert(1, SelectKBest(k=2))
    model = make_pipeline(*steps).fit(codes, target)
    assert_same(adapter.serve(model), tmp_path)
    unknown = np.array([[1.0, 99.0]])
    with pytest.raises(ValueError, match="unknown categories"):
        model.predict(unknown)
    with (
        ForestSession(tmp_path / "model.forest") as session,
        pytest.raises(InvalidInputError, match="does not know"),
    ):
        session.run([unknown])


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_booster_behind_a_sparse_matrix(library: str, tmp_path: Path) -> None:
    """XGBoost takes the zeros that a sparse matrix leaves out as missing, LightGBM as zeros."""
    import importlib

    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    x, y = holed()
    x = np.where(np.random.default_rng(3).random(x.shape) < 0.2, 0.0, x)
    sparse = ColumnTransformer(
        [("codes", OneHotEncoder(handle_unknown="ignore"), [0])],
        remainder="passthrough",
        sparse_threshold=1.0,
    )
    name = {"xgboost": "XGBRegressor", "lightgbm": "LGBMRegressor"}[library]
    options = {"n_estimators": 15, "n_jobs": 1}
    booster = getattr(importlib.import_module(library), name)(**options)
    model = make_pipeline(sparse, booster).fit(x, y)
    served = adapter.serve(model)
    assert_same(served, tmp_path)
    rows = np.where(np.random.default_rng(4).random((ROWS, x.shape[1])) < 0.3, 0.0, x[:ROWS])
    with ForestSession(tmp_path / "model.forest") as session:
        found = session.run([np.ascontiguousarray(rows)])["predictions"]
    expected = model.predict(rows)
    assert int(ulps(found, expected).max()) <= 1


def test_probe_rows_hold_what_the_encoder_knows_and_does_not() -> None:
    """The proof would prove little on rows that every encoder calls unknown."""
    from sklearn.pipeline import make_pipeline

    codes = np.random.default_rng(1).integers(0, 5, (300, 2)) * 2.0
    target = np.arange(300) % 2
    strict = encoder("OneHotEncoder")
    for make, takes_unknown in ((ENCODING["one-hot"], True), (strict, False)):
        step = make()
        served = adapter.serve(make_pipeline(step, _forest(4)).fit(codes, target))
        rows = probe_tables.inputs_for(served)[0]
        known = np.isin(rows, np.unique(codes))
        assert known.mean() > 0.6
        assert (not known.all()) is takes_unknown
