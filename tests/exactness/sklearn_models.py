"""scikit-learn's tree models of every kind, trained once a session on small data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

Maker = Callable[[Any, Any], Any]

COLUMNS = 9
CATEGORICAL = (0, 3)
_ROWS = 700


@cache
def table() -> tuple[Any, Any]:
    """(f64[rows, columns], f64[rows]): numbers of several kinds, codes, and something to learn."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(_ROWS, COLUMNS)) * np.array([1, 1, 1e-3, 1, 1e4, 1, 1, 1, 1])
    x[:, CATEGORICAL[0]] = rng.integers(0, 7, _ROWS)
    x[:, CATEGORICAL[1]] = rng.integers(0, 40, _ROWS)
    x[:, 5] = np.round(x[:, 5], 1)  # many equal values: thresholds between neighbours
    x[:, 6] = x[:, 6].astype(np.float32)
    signal = np.sin(x[:, 1]) + 500 * x[:, 2] + np.isin(x[:, 0], (1, 4, 5)) + x[:, 3] % 3
    return x, signal + 0.1 * rng.normal(size=_ROWS) + 0.3 * np.abs(x[:, 6])


@cache
def holed() -> tuple[Any, Any]:
    """The same with missing values."""
    x, y = table()
    holes = np.random.default_rng(12).random(x.shape) < 0.1
    return np.where(holes, np.nan, x), y


def classes(y: Any, count: int) -> Any:
    """Labels of about equal counts."""
    edges = np.quantile(y, np.linspace(0, 1, count + 1)[1:-1])
    return np.array([f"class {number:02}" for number in range(count)])[np.digitize(y, edges)]


def _two(y: Any) -> Any:
    return np.column_stack([classes(y, 3), classes(-y, 5)])


class Kind:
    """How a model is made and what rows it takes.

    Attributes:
        make: Fits it on (x, y).
        target: y of the training.
        takes_missing: Whether NaN is trained with and asked for.
    """

    def __init__(self, make: Callable[[], Any], target: Any = None, missing: bool = False) -> None:
        self._make = make
        self._target = target or (lambda y: y)
        self.takes_missing = missing

    def training(self) -> Any:
        """f64[rows, columns]."""
        return (holed() if self.takes_missing else table())[0]

    def fitted(self) -> Any:
        """The trained model."""
        return self._make().fit(self.training(), self._target(table()[1]))


def _of(count: int) -> Callable[[Any], Any]:
    return lambda y: classes(y, count)


def _positive(y: Any) -> Any:
    return np.abs(y) + 0.1


def _ensemble(name: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        from sklearn import ensemble

        return getattr(ensemble, name)(random_state=0, **options)

    return make


def _tree(name: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        from sklearn import tree

        return getattr(tree, name)(random_state=0, **options)

    return make


def _bagged(name: str, member: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    return lambda: _ensemble(name, estimator=member(), **options)()


def _started(name: str, first: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    return lambda: _ensemble(name, init=first(), **options)()


_CLASSIFIER, _REGRESSOR = "RandomForestClassifier", "RandomForestRegressor"
_SHALLOW = _tree("DecisionTreeClassifier", max_depth=3)

FORESTS: dict[str, Kind] = {
    "decision tree": Kind(_tree("DecisionTreeClassifier"), _of(4), missing=True),
    "decision tree, regression": Kind(_tree("DecisionTreeRegressor"), missing=True),
    "extra tree": Kind(_tree("ExtraTreeClassifier"), _of(3)),
    "extra tree, regression": Kind(_tree("ExtraTreeRegressor", max_depth=9)),
    "tree, two targets": Kind(_tree("DecisionTreeClassifier", max_depth=6), _two),
    "monotonic tree": Kind(
        _tree("DecisionTreeRegressor", monotonic_cst=[0, 1, 1] + [0] * (COLUMNS - 3))
    ),
    "random forest": Kind(_ensemble(_CLASSIFIER, n_estimators=12), _of(2), missing=True),
    "random forest, 7 classes": Kind(
        _ensemble(_CLASSIFIER, n_estimators=12, class_weight="balanced"), _of(7), missing=True
    ),
    "random forest, regression": Kind(_ensemble(_REGRESSOR, n_estimators=9), missing=True),
    "random forest, two targets": Kind(_ensemble(_CLASSIFIER, n_estimators=9), _two),
    "random forest, two numbers": Kind(
        _ensemble(_REGRESSOR, n_estimators=9), lambda y: np.column_stack([y, y**2])
    ),
    "extra trees": Kind(
        _ensemble("ExtraTreesClassifier", n_estimators=12, max_depth=7), _of(3), missing=True
    ),
    "extra trees, regression": Kind(
        _ensemble("ExtraTreesRegressor", n_estimators=9, bootstrap=True)
    ),
    "bagging": Kind(
        _ensemble("BaggingClassifier", n_estimators=9, max_samples=12, max_features=0.6), _of(7)
    ),
    "bagging, columns drawn twice": Kind(
        _ensemble("BaggingRegressor", n_estimators=9, max_features=0.8, bootstrap_features=True),
        missing=True,
    ),
    "AdaBoost": Kind(_ensemble("AdaBoostClassifier", n_estimators=20), _of(2)),
    "AdaBoost, 5 classes": Kind(_bagged("AdaBoostClassifier", _SHALLOW, n_estimators=15), _of(5)),
    "AdaBoost, regression": Kind(_ensemble("AdaBoostRegressor", n_estimators=15)),
    "isolation forest": Kind(_ensemble("IsolationForest", n_estimators=25), missing=True),
    "isolation forest, some columns": Kind(
        _ensemble("IsolationForest", n_estimators=15, max_features=4, contamination=0.2)
    ),
}
"""Forests of scikit-learn: its trees are asked for the leaf of each row."""

_BOOSTED = "GradientBoostingClassifier"
_HIST = "HistGradientBoostingClassifier"

BOOSTED: dict[str, Kind] = {
    "boosting": Kind(_ensemble(_BOOSTED, n_estimators=15), _of(2)),
    "boosting, exponential": Kind(
        _ensemble(_BOOSTED, n_estimators=15, loss="exponential"), _of(2)
    ),
    "boosting, 4 classes": Kind(_ensemble(_BOOSTED, n_estimators=8, subsample=0.7), _of(4)),
    "boosting, regression": Kind(_ensemble("GradientBoostingRegressor", n_estimators=20)),
    "boosting, huber": Kind(
        _ensemble("GradientBoostingRegressor", n_estimators=15, loss="huber")
    ),
    "boosting, quantile": Kind(
        _ensemble("GradientBoostingRegressor", n_estimators=15, loss="quantile", init="zero")
    ),
    "hist boosting": Kind(_ensemble(_HIST, max_iter=12), _of(2), missing=True),
    "hist boosting, 6 classes": Kind(_ensemble(_HIST, max_iter=6), _of(6), missing=True),
    "hist boosting, regression": Kind(
        _ensemble("HistGradientBoostingRegressor", max_iter=15), missing=True
    ),
    "hist boosting, poisson": Kind(
        _ensemble("HistGradientBoostingRegressor", max_iter=12, loss="poisson"), _positive
    ),
    "hist boosting, gamma": Kind(
        _ensemble("HistGradientBoostingRegressor", max_iter=12, loss="gamma"), _positive
    ),
    "hist boosting, quantile": Kind(
        _ensemble(
            "HistGradientBoostingRegressor", max_iter=12, loss="quantile", quantile=0.3,
            early_stopping=True,
        ),
        missing=True,
    ),
}  # fmt: skip
"""Gradient boosting over the columns of the row; its raw scores are compared."""

_CODES = {"categorical_features": list(CATEGORICAL)}

BEHIND_OTHERS: dict[str, Kind] = {
    "hist boosting, categories": Kind(
        _ensemble(_HIST, max_iter=10, **_CODES), _of(3), missing=True
    ),
    "hist boosting, categories, stopped early": Kind(
        _ensemble(
            "HistGradientBoostingRegressor", max_iter=40, early_stopping=True, max_bins=50, **_CODES
        ),
        missing=True,
    ),
    "boosting on a forest's guess": Kind(
        _started(
            "GradientBoostingRegressor", _ensemble(_REGRESSOR, n_estimators=4), n_estimators=9
        )
    ),
    "boosting on a tree's shares": Kind(
        _started(_BOOSTED, _SHALLOW, n_estimators=9), _of(2)
    ),
    "bagged forests": Kind(
        _bagged(
            "BaggingClassifier", _ensemble(_CLASSIFIER, n_estimators=3, max_depth=5),
            n_estimators=3, max_features=0.7,
        ),
        _of(3),
    ),
}  # fmt: skip
"""Trees behind a preprocessor or beside another model: only the answers are compared."""
