"""XGBoost models of every kind that slipstream documents, trained once a session on small data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

ROWS, WIDTH = 900, 9
CATEGORICAL = (6, 7)
"""Columns of `data` that hold small integers."""

Maker = Callable[[], Any]
MODELS: dict[str, Maker] = {}


@cache
def data(holed: bool = True) -> tuple[Any, Any]:
    """(x, score): numbers with some NaN, two columns of small integers, and a smooth target."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, WIDTH))
    x[:, 4] = np.round(x[:, 4], 1)  # ties
    x[:, 5] *= 1e-36  # where LightGBM sees zeros
    x[:, CATEGORICAL[0]] = rng.integers(0, 6, size=ROWS)
    x[:, CATEGORICAL[1]] = rng.integers(0, 40, size=ROWS)
    score = (
        x[:, 0] + np.sin(2 * x[:, 1]) + 0.5 * (x[:, 6] == 2) + np.isin(x[:, 7] % 7, (1, 5))
        + (x[:, 5] > 0) + rng.normal(size=ROWS) * 0.2
    )  # fmt: skip
    if holed:
        for column in (0, 2, 4, 5, 7):
            x[rng.random(ROWS) < 0.15, column] = np.nan
    return x, score


@cache
def wide_data() -> tuple[Any, Any]:
    """(x, score): more columns than trees can use, most of them never looked at."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(ROWS, 700))
    x[rng.random(x.shape) < 0.1] = np.nan
    known = np.nan_to_num(x)
    return x, known[:, 3] + known[:, 410] * known[:, 699] + known[:, ::50].sum(axis=1)


@cache
def long_data() -> tuple[Any, Any]:
    """(x, score): enough rows for hundreds of thresholds a column, and deep trees."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(12_000, 6))
    x[:, 1] = np.exp(3 * x[:, 1])
    score = np.sin(5 * x[:, 0]) + np.log(x[:, 1]) * x[:, 2] + rng.normal(size=len(x)) * 0.1
    x[rng.random(x.shape) < 0.02] = np.nan
    return x, score


def training_of(name: str) -> Any:
    """f64[n, width]: the rows that the model of this name was trained on."""
    return TRAINED_ON.get(name, data)()[0]


TRAINED_ON: dict[str, Callable[[], tuple[Any, Any]]] = {"wide": wide_data, "large": long_data}
"""By the name of a model, of either library; the others are trained on `data`."""


def _model(name: str) -> Callable[[Maker], Maker]:
    def register(make: Maker) -> Maker:
        MODELS[name] = cache(make)
        return make

    return register


def classes_of(score: Any, count: int) -> Any:
    """i64[rows]: class numbers, by quantile of the score."""
    return np.searchsorted(np.quantile(score, np.arange(1, count) / count), score)


_COMMON: dict[str, Any] = {"n_estimators": 20, "max_depth": 5, "n_jobs": 1, "random_state": 0}


def _regressor(
    target: Callable[[Any], Any] = lambda score: score,
    rows: Callable[[], tuple[Any, Any]] = data,
    **options: Any,
) -> Maker:
    def make() -> Any:
        import xgboost

        x, score = rows()
        return xgboost.XGBRegressor(**{**_COMMON, **options}).fit(x, target(score))

    return make


def _classifier(count: int = 2, **options: Any) -> Maker:
    def make() -> Any:
        import xgboost

        x, score = data()
        model = xgboost.XGBClassifier(**{**_COMMON, **options})
        return model.fit(x, classes_of(score, count))

    return make


def _positive(score: Any) -> Any:
    return np.exp(score / 2)


def _share(score: Any) -> Any:
    return 1 / (1 + np.exp(-score))


def _three(score: Any) -> Any:
    x = np.nan_to_num(data()[0])
    return np.column_stack([score, x[:, 1] - score, x[:, 3] * 2])


_DART = {"booster": "dart", "rate_drop": 0.3, "skip_drop": 0.2}
_CODES = {
    "enable_categorical": True,
    "feature_types": ["c" if at in CATEGORICAL else "q" for at in range(WIDTH)],
}

MODELS |= {
    name: cache(maker)
    for name, maker in {
        "binary": _classifier(),
        "binary, base score": _classifier(base_score=0.3),
        "binary, deep": _classifier(max_depth=0, max_leaves=63, grow_policy="lossguide"),
        "binary, hinge": _classifier(objective="binary:hinge"),
        "binary, logitraw": _classifier(objective="binary:logitraw"),
        "binary, dart": _classifier(**_DART),
        "binary, exact": _classifier(tree_method="exact"),
        "binary, parallel trees": _classifier(num_parallel_tree=3, subsample=0.6),
        "softprob": _classifier(4),
        "softprob, 25 classes": _classifier(25, n_estimators=6, max_depth=3),
        "softprob, dart": _classifier(4, **_DART, n_estimators=8),
        "softmax": _classifier(4, objective="multi:softmax"),
        "squarederror": _regressor(),
        "squarederror, base score": _regressor(base_score=123.456),
        "squarederror, dart": _regressor(**_DART, normalize_type="forest"),
        "squarederror, dart, base score": _regressor(**_DART, base_score=7.7),
        "squarederror, lone leaves": _regressor(gamma=60.0),
        "squarederror, stumps": _regressor(max_depth=1, n_estimators=60),
        "wide": _regressor(rows=wide_data, colsample_bytree=0.5),
        "large": _regressor(rows=long_data, n_estimators=150, max_depth=10),
        "many stumps": _regressor(rows=data, n_estimators=700, max_depth=2),
        "squaredlogerror": _regressor(_positive, objective="reg:squaredlogerror"),
        "logistic": _regressor(_share, objective="reg:logistic"),
        "pseudohuber": _regressor(objective="reg:pseudohubererror"),
        "absoluteerror": _regressor(objective="reg:absoluteerror"),
        "quantile, one": _regressor(objective="reg:quantileerror", quantile_alpha=0.3),
        "quantile, three": _regressor(
            objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9]
        ),
        "gamma": _regressor(_positive, objective="reg:gamma"),
        "tweedie": _regressor(_positive, objective="reg:tweedie"),
        "poisson": _regressor(lambda s: np.floor(_positive(s)), objective="count:poisson"),
        "cox": _regressor(_positive, objective="survival:cox"),
        "missing is -999": _regressor(missing=-999.0),
        "missing is 0": _regressor(missing=0.0),
        "missing is 0.1": _regressor(missing=0.1),
        "targets": _regressor(_three),
        "targets, vector leaves": _regressor(
            _three, multi_strategy="multi_output_tree", tree_method="hist"
        ),
        "random forest": _regressor(num_parallel_tree=20, n_estimators=1, subsample=0.7),
        "categories, one-hot": _regressor(**_CODES, max_cat_to_onehot=100),
        "categories, partition": _classifier(3, **_CODES, max_cat_to_onehot=1),
        "categories, dart": _regressor(**_CODES, **_DART, max_cat_to_onehot=4),
    }.items()
}


@_model("ranker")
def _ranker() -> Any:
    import xgboost

    x, score = data()
    model = xgboost.XGBRanker(**_COMMON, objective="rank:ndcg")
    return model.fit(x, classes_of(score, 4), qid=np.arange(len(x)) // 30)


@_model("aft")
def _aft() -> Any:
    import xgboost

    x, score = data()
    matrix = xgboost.DMatrix(x)
    matrix.set_float_info("label_lower_bound", _positive(score))
    matrix.set_float_info("label_upper_bound", _positive(score) * 1.5)
    settings = {"objective": "survival:aft", "max_depth": 4, "nthread": 1}
    return xgboost.train(settings, matrix, num_boost_round=20)


@_model("best iteration")
def _best_iteration() -> Any:
    import xgboost

    x, score = data()
    y = classes_of(score, 3)
    model = xgboost.XGBClassifier(**{**_COMMON, "n_estimators": 60}, early_stopping_rounds=3)
    model.fit(x[:600], y[:600], eval_set=[(x[600:], y[600:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    return model


@_model("several labels")
def _several_labels() -> Any:
    import xgboost

    x, score = data()
    labels = np.column_stack([score > 0.5, score > 1.5, np.nan_to_num(x[:, 3]) > 0]).astype(int)
    return xgboost.XGBClassifier(**_COMMON).fit(x, labels)


@_model("own objective")
def _own_objective() -> Any:
    import xgboost

    x, score = data()
    model = xgboost.XGBRegressor(**_COMMON, objective=squared_error)
    return model.fit(x, score)


def squared_error(target: Any, predicted: Any) -> Any:
    """An objective in Python: gradient and hessian of half the squared error."""
    return predicted - target, np.ones_like(predicted)


@_model("trained further on other data")
def _trained_further() -> Any:
    import xgboost

    x, score = data(holed=False)
    first = xgboost.XGBRegressor(**_COMMON).fit(x, score)
    holed, _ = data()
    return xgboost.XGBRegressor(**_COMMON).fit(holed, score, xgb_model=first.get_booster())
