"""A compiled model refuses what its library refuses: missing, infinite and too large numbers.

Each estimator checks its table by a rule of its own, in float32 or float64, some columns of a
pipeline otherwise than others.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import slipstream
from slipstream.errors import InvalidInputError

_X, _Y = load_breast_cancer(return_X_y=True)
_X = _X[:, :4]
_HOLED = _X.copy()
_HOLED[::7, 0] = np.nan
_CODED = np.c_[_X[:, :3], np.arange(len(_X)) % 4]
_TIE = 2.0**128 - 2.0**103
"""Half way from the largest float32 to the next power of two, which rounds to infinity."""
NUMBERS = (
    np.nan, np.inf, -np.inf, 1e300, -1e300, 3.5e38, -3.5e38, _TIE, np.nextafter(_TIE, 0), 1e-310
)  # fmt: skip


def _forest() -> Any:
    return RandomForestClassifier(4, random_state=0)


MODELS: dict[str, Callable[[], Any]] = {
    "forest": lambda: _forest().fit(_X, _Y),
    "tree": lambda: DecisionTreeClassifier().fit(_X, _Y),
    "boosted": lambda: GradientBoostingClassifier(n_estimators=4).fit(_X, _Y),
    "adaboost": lambda: AdaBoostClassifier(n_estimators=4).fit(_X, _Y),
    "bagging": lambda: BaggingClassifier(n_estimators=4).fit(_X, _Y),
    "isolation": lambda: IsolationForest(n_estimators=4, random_state=0).fit(_X),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=4).fit(_X, _Y),
    "histogram, coded": lambda: HistGradientBoostingClassifier(
        max_iter=4, categorical_features=[3]
    ).fit(_CODED, _Y),
    "imputed and scaled": lambda: make_pipeline(SimpleImputer(), StandardScaler(), _forest()).fit(
        _HOLED, _Y
    ),
    "imputed in one column": lambda: make_pipeline(
        make_column_transformer((SimpleImputer(), [0]), remainder="passthrough"),
        GradientBoostingRegressor(n_estimators=4),
    ).fit(_HOLED, _Y),
    "calibrated": lambda: CalibratedClassifierCV(_forest(), cv=2).fit(_X, _Y),
    "voting": lambda: VotingClassifier(
        [("a", _forest()), ("b", GradientBoostingClassifier(n_estimators=4))], voting="soft"
    ).fit(_X, _Y),
    "stacking": lambda: StackingClassifier([("a", _forest()), ("b", DecisionTreeClassifier())]).fit(
        _X, _Y
    ),
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=4).fit(_X, _Y),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=4, verbose=-1).fit(_X, _Y),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slipstream.Engine]:
    with slipstream.Engine(state_dir=tmp_path_factory.mktemp("state")) as engine:
        yield engine


def _answer(predict: Callable[[Any], Any], rows: Any, *errors: type[Exception]) -> Any:
    """What it predicts, or None where it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return predict(rows)[0]
    except errors:
        return None


@pytest.mark.parametrize("name", MODELS)
def test_it_refuses_what_the_library_refuses(engine, tmp_path, name):
    estimator = MODELS[name]()
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(estimator))
    model = engine.load(file, model_id=name.replace(" ", "_").replace(",", ""))
    assert model.backend == "forest", model.reason
    for column in range(_X.shape[1]):
        for number in NUMBERS:
            row = _CODED[:1].copy()
            row[0, column] = number
            expected = _answer(estimator.predict, row, ValueError)
            for way in (model.predict, lambda rows: model.predict(rows, priority=0)):
                assert _answer(way, row, InvalidInputError) == expected, (column, number)


def test_the_refusal_names_the_column(engine, tmp_path):
    file = tmp_path / "named.pkl"
    file.write_bytes(pickle.dumps(_forest().fit(_X, _Y)))
    model = engine.load(file)
    with pytest.raises(InvalidInputError, match="number 3 is infinite or too large"):
        model.predict([[1, 2, 1e300, 4]])
    assert model.predict(_X[:3]).tolist() == _forest().fit(_X, _Y).predict(_X[:3]).tolist()


def test_a_bad_row_costs_no_other_request(engine, tmp_path):
    """Rows of several requests share an execution; the refused one fails alone."""
    file = tmp_path / "shared.pkl"
    estimator = _forest().fit(_X, _Y)
    file.write_bytes(pickle.dumps(estimator))
    model = engine.load(file)
    bad = _X[:1].copy()
    bad[0, 1] = np.inf
    futures = [model.submit(bad if at % 5 == 0 else _X[at : at + 1]) for at in range(200)]
    expected = estimator.predict(_X[:200])
    for at, future in enumerate(futures):
        if at % 5 == 0:
            assert isinstance(future.exception(), InvalidInputError)
        else:
            assert future.result()[0] == expected[at]


@pytest.mark.parametrize("damage", ["a bit", "cut", "emptied", "removed", "another's", "no sums"])
def test_a_damaged_artifact_is_made_again(tmp_path: Path, damage: str) -> None:
    estimator = _forest().fit(_X, _Y)
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(estimator))
    with slipstream.Engine(state_dir=tmp_path / "state") as engine:
        engine.load(file)
    (artifact,) = (tmp_path / "state" / "artifacts").glob("*/*.forest")
    data = artifact.read_bytes()
    artifact.unlink()
    if damage == "a bit":
        artifact.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    elif damage in ("cut", "emptied"):
        artifact.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    elif damage == "another's":
        (artifact.parent / "manifest.json").write_bytes(b"{}")
        artifact.write_bytes(data)
    elif damage == "no sums":
        (artifact.parent / "SHA256SUMS").unlink()
    with slipstream.Engine(state_dir=tmp_path / "state") as engine:
        model = engine.load(file)
        assert model.predict(_X[:9]).tolist() == estimator.predict(_X[:9]).tolist()
    assert artifact.read_bytes() == data
