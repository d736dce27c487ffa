"""Model files as users have them, through `slipstream.Engine`: exactly, by the forest backend.

Every way of saving a model once; the gate in `test_boosters` has every kind of model.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exactness.cases import lightgbm_case, xgboost_case
from exactness.counts import Array, same_bits, ulps
from exactness.gate import Case
from exactness.rows import kinds_for, make
from slipstream import Engine, Model
from slipstream.adapters.base import quiet

Save = Callable[[Case, Path], Path]


def pickled(case: Case, folder: Path) -> Path:
    """The wrapper, as `pickle` writes it."""
    file = folder / "model.pkl"
    file.write_bytes(pickle.dumps(case.served.estimator))
    return file


def booster_pickled(case: Case, folder: Path) -> Path:
    """The booster without its wrapper."""
    estimator: Any = case.served.estimator
    booster = estimator.get_booster() if case.library == "xgboost" else estimator.booster_
    file = folder / "booster.pkl"
    file.write_bytes(pickle.dumps(booster))
    return file


def saved_as(suffix: str) -> Save:
    """The library's own format."""

    def save(case: Case, folder: Path) -> Path:
        estimator: Any = case.served.estimator
        file = folder / f"model.{suffix}"
        if case.library == "xgboost":
            estimator.save_model(file)
        else:
            estimator.booster_.save_model(file)
        return file

    return save


FILES: dict[str, tuple[Callable[[str], Case], str, Save]] = {
    "XGBoost wrapper": (xgboost_case, "binary", pickled),
    "XGBoost booster": (xgboost_case, "squarederror, dart", booster_pickled),
    "XGBoost ubj": (xgboost_case, "best iteration", saved_as("ubj")),
    "XGBoost json": (xgboost_case, "targets, vector leaves", saved_as("json")),
    "XGBoost several labels": (xgboost_case, "several labels", pickled),
    "XGBoost missing": (xgboost_case, "missing is 0.1", pickled),
    "XGBoost categories": (xgboost_case, "categories, partition", saved_as("ubj")),
    "LightGBM wrapper": (lightgbm_case, "multiclass", pickled),
    "LightGBM booster": (lightgbm_case, "categories, zero as missing", booster_pickled),
    "LightGBM text": (lightgbm_case, "cross_entropy_lambda", saved_as("txt")),
    "LightGBM two rules": (lightgbm_case, "trained further on other data", saved_as("txt")),
    "LightGBM random forest": (lightgbm_case, "binary, random forest", pickled),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(state_dir=tmp_path_factory.mktemp("state"), max_workers=4) as one:
        yield one


@pytest.mark.parametrize("name", FILES)
def test_a_file_answers_as_its_library(name: str, engine: Engine, tmp_path: Path) -> None:
    make_case, model_name, save = FILES[name]
    case = make_case(model_name)
    model = engine.load(save(case, tmp_path), instances=1)
    try:
        assert (model.backend, model.reason) == ("forest", None)
        rows = np.concatenate([make(kind, case.facts, 150) for kind in kinds_for(case.facts)])
        with quiet():
            expected = np.asarray(case.served.predict(rows))
        require_same(np.asarray(model.predict(rows)), expected)
        if case.served.predict_proba is not None:
            shares = case.served.predict_proba(rows)[0]
            require_same(np.asarray(model.predict_proba(rows)), shares)
            require_same(one_by_one(model, rows[:40]), shares[:40])
    finally:
        engine.unload(model.model_id)


def one_by_one(model: Model, rows: Array) -> Array:
    """The probabilities of rows that come alone."""
    return np.concatenate([model.predict_proba(row[None]) for row in rows])


def require_same(found: Array, expected: Array) -> None:
    """Labels equal, numbers within 1 ulp of the library's own type.

    Raises:
        AssertionError: They are not.
    """
    assert found.shape == expected.shape
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected)
    else:
        assert found.dtype == expected.dtype
        assert int(ulps(found, expected).max()) <= 1


def test_json_rows_are_decided_in_double(engine: Engine, tmp_path: Path) -> None:
    """Rows at thresholds, their neighbours and NaN, as numbers of a JSON text."""
    case = lightgbm_case("regression")
    model = engine.load(pickled(case, tmp_path), instances=1)
    try:
        kinds = ("at thresholds", "±1 ulp of float64", "NaN anywhere", "zeros, denormals")
        facts = dataclasses.replace(case.facts, finite=True)  # JSON has no infinity
        rows = np.concatenate([make(kind, facts, 100) for kind in kinds])
        text = json.dumps(np.where(np.isnan(rows), None, rows.astype(object)).tolist())
        inputs = model.version.decoder.decode(text.encode()).arrays()
        assert same_bits(inputs[0], rows).all()
        require_same(np.asarray(model.predict(inputs[0])), case.served.predict(rows))
    finally:
        engine.unload(model.model_id)


def test_linear_trees_run_in_the_library(engine: Engine, tmp_path: Path) -> None:
    import lightgbm

    x, y = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200.0)
    linear = lightgbm.LGBMRegressor(n_estimators=3, linear_tree=True, verbose=-1, n_jobs=1)
    file = tmp_path / "linear.pkl"
    file.write_bytes(pickle.dumps(linear.fit(x, y)))
    model = engine.load(file, instances=1)
    try:
        assert model.backend == "process"
        assert model.reason is not None and "linear models" in model.reason
        np.testing.assert_array_equal(model.predict(x), linear.predict(x))
    finally:
        engine.unload(model.model_id)
