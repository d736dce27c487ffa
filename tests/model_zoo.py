"""Really trained models of every kind that slipstream documents, on real data sets.

Each is trained once per session (``zoo(name)`` is cached). Rows for comparison are the data set's
own; what they are compared with is the source library.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Trained:
    """A fitted model, the rows to ask it about, and whether it must be compiled."""

    name: str
    model: Any
    rows: Any
    compiled: bool | None
    """True: must be; False: cannot be; None: whatever the proof says."""

    @property
    def forest(self) -> bool | None:
        """Whether the forest backend runs it; None: whatever the proof says."""
        if self.compiled is None:
            return None
        return self.compiled and not self.name.startswith("mlp")

    def save(self, folder: Path) -> Path:
        """Pickle it into ``folder``."""
        file = folder / f"{self.name}.pkl"
        file.write_bytes(pickle.dumps(self.model))
        return file


@cache
def dataset(name: str) -> tuple[Any, Any]:
    """(X, y) of breast_cancer (string labels), wine, digits, diabetes or penguins (a DataFrame)."""
    from sklearn import datasets

    if name == "penguins":
        from palmerpenguins import load_penguins

        table = load_penguins()
        return table.drop(columns="species"), table["species"]
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name == "breast_cancer":
        y = np.array(["malignant", "benign"])[y]
    return x, y


_MAKERS: dict[str, tuple[str, bool | None, Callable[[], Any]]] = {}


def _kind(name: str, data: str, compiled: bool | None) -> Callable[[Callable[[], Any]], Any]:
    def register(make: Callable[[], Any]) -> Callable[[], Any]:
        for one in data.split():
            _MAKERS[f"{name}_{one}"] = (one, compiled, make)
        return make

    return register


CLASSIFIED = "breast_cancer wine digits"


@_kind("random_forest", CLASSIFIED, True)
def _() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(40, random_state=0)


@_kind("extra_trees", "wine", True)
def _() -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(20, max_depth=4, random_state=0)


@_kind("decision_tree", "breast_cancer", True)
def _() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0)


@_kind("gradient_boosting", "breast_cancer wine", True)
def _() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=25, random_state=0)


@_kind("gradient_boosting", "digits", True)
def _() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=5, max_features=8, random_state=0)


@_kind("gradient_boosting_exponential", "breast_cancer", True)
def _() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=10, loss="exponential", random_state=0)


@_kind("hist_gradient_boosting", CLASSIFIED, True)
def _() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=12, random_state=0)


@_kind("logistic_pipeline", CLASSIFIED, True)
def _() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


@_kind("svc", "breast_cancer wine", None)
def _() -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC())


@_kind("knn", "wine", None)
def _() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier()


@_kind("mlp", "wine digits", True)
def _() -> Any:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    return make_pipeline(MinMaxScaler(), MLPClassifier((16,), max_iter=60, random_state=0))


@_kind("voting", "breast_cancer", True)
def _() -> Any:
    from sklearn.ensemble import RandomForestClassifier, VotingClassifier

    members = [("forest", RandomForestClassifier(8, random_state=0)), ("line", _logistic())]
    return VotingClassifier(members, voting="soft")


@_kind("hard_voting", "breast_cancer", True)
def _() -> Any:
    from sklearn.ensemble import RandomForestClassifier, VotingClassifier

    members = [("forest", RandomForestClassifier(8, random_state=0)), ("line", _logistic())]
    return VotingClassifier(members)


@_kind("stacking", "wine", True)
def _() -> Any:
    from sklearn.ensemble import RandomForestClassifier, StackingClassifier

    members = [("forest", RandomForestClassifier(8, random_state=0)), ("line", _logistic())]
    return StackingClassifier(members, cv=3)


@_kind("bagging", "wine", True)
def _() -> Any:
    from sklearn.ensemble import BaggingClassifier

    return BaggingClassifier(n_estimators=4, random_state=0)


@_kind("ada_boost", "breast_cancer wine", True)
def _() -> Any:
    from sklearn.ensemble import AdaBoostClassifier

    return AdaBoostClassifier(n_estimators=12, random_state=0)


@_kind("calibrated", "wine", True)
def _() -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import RandomForestClassifier

    return CalibratedClassifierCV(RandomForestClassifier(8, random_state=0), cv=2)


@_kind("search", "wine", True)
def _() -> Any:
    from sklearn.model_selection import GridSearchCV

    return GridSearchCV(_logistic(), {"logisticregression__C": [0.1, 1.0]}, cv=2)


def _logistic() -> Any:
    return _MAKERS["logistic_pipeline_wine"][2]()


@_kind("text_columns", "penguins", True)
def _() -> Any:
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    text = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (text, ["island", "sex"]),
        (numbers, make_column_selector(dtype_include=np.number)),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=500))


@_kind("text_forest", "penguins", True)
def _() -> Any:
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = make_column_transformer(
        (OneHotEncoder(), ["island", "sex"]),
        ("passthrough", make_column_selector(dtype_include=np.number)),
        sparse_threshold=0,
    )
    return make_pipeline(columns, RandomForestClassifier(12, random_state=0))


@_kind("text_hist_gradient_boosting", "penguins", True)
def _() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=6, categorical_features=["island", "sex"])


@_kind("xgb_classifier", CLASSIFIED, True)
def _() -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1, random_state=0)


@_kind("lgbm_classifier", CLASSIFIED, True)
def _() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=15, n_jobs=1, random_state=0, verbose=-1)


@_kind("random_forest_regressor", "diabetes", True)
def _() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(20, random_state=0)


@_kind("hist_gradient_boosting_regressor", "diabetes", True)
def _() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=15, loss="poisson", random_state=0)


@_kind("gradient_boosting_regressor", "diabetes", True)
def _() -> Any:
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(n_estimators=20, random_state=0)


@_kind("ridge", "diabetes", True)
def _() -> Any:
    from sklearn.linear_model import Ridge

    return Ridge()


@_kind("xgb_regressor", "diabetes", True)
def _() -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=20, random_state=0)


@_kind("lgbm_regressor", "diabetes", True)
def _() -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=20, random_state=0, verbose=-1)


@_kind("xgb_ranker", "wine", True)
def _() -> Any:
    from xgboost import XGBRanker

    return XGBRanker(n_estimators=10, random_state=0)


@_kind("kmeans", "wine", False)
def _() -> Any:
    from sklearn.cluster import KMeans

    return KMeans(3, n_init=2, random_state=0)


@_kind("isolation_forest", "wine", True)
def _() -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=10, random_state=0)


NAMES = tuple(_MAKERS)


@cache
def zoo(name: str) -> Trained:
    """The trained model ``name`` (one of `NAMES`)."""
    data, compiled, make = _MAKERS[name]
    x, y = dataset(data)
    model = make()
    if name.startswith("xgb_classifier"):
        y = np.unique(y, return_inverse=True)[1]  # XGBoost takes class indices only
    if name.startswith("xgb_ranker"):
        model.fit(x, y, qid=np.sort(np.arange(len(y)) % 6))
    else:
        model.fit(x, y)
    return Trained(name, model, x, compiled)
