"""LightGBM models of every kind that slipstream documents, trained once a session on small data."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from exactness.xgboost_models import CATEGORICAL, classes_of, data, long_data, wide_data

Maker = Callable[[], Any]

_COMMON: dict[str, Any] = {
    "n_estimators": 20, "num_leaves": 31, "min_child_samples": 5, "n_jobs": 1, "verbose": -1,
    "random_state": 0, "deterministic": True,
}  # fmt: skip
_DART = {"boosting_type": "dart", "drop_rate": 0.3}
_FOREST = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
_CODES = {"categorical_feature": list(CATEGORICAL)}


def _regressor(
    target: Callable[[Any], Any] = lambda score: score,
    fit: dict[str, Any] | None = None,
    rows: Callable[[], tuple[Any, Any]] = data,
    **options: Any,
) -> Maker:
    def make() -> Any:
        import lightgbm

        x, score = rows()
        model = lightgbm.LGBMRegressor(**{**_COMMON, **options})
        return model.fit(x, target(score), **(fit or {}))

    return make


def _classifier(count: int = 2, fit: dict[str, Any] | None = None, **options: Any) -> Maker:
    def make() -> Any:
        import lightgbm

        x, score = data()
        names = np.array([f"class {number:02}" for number in range(count)])
        model = lightgbm.LGBMClassifier(**{**_COMMON, **options})
        return model.fit(x, names[classes_of(score, count)], **(fit or {}))

    return make


def _booster(settings: dict[str, Any], target: Callable[[Any], Any]) -> Maker:
    def make() -> Any:
        import lightgbm

        x, score = data()
        table = lightgbm.Dataset(x, target(score))
        return lightgbm.train(
            {"verbose": -1, "num_leaves": 15, "num_threads": 1, **settings}, table, 20
        )

    return make


def _positive(score: Any) -> Any:
    return np.exp(score / 2)


def _share(score: Any) -> Any:
    return 1 / (1 + np.exp(-score))


def _best_iteration() -> Any:
    import lightgbm

    x, score = data()
    y = classes_of(score, 3)
    model = lightgbm.LGBMClassifier(**{**_COMMON, "n_estimators": 60, "learning_rate": 0.5})
    stop = lightgbm.early_stopping(3, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another spelling of eval_set is preferred lately
        model.fit(x[:600], y[:600], eval_set=[(x[600:], y[600:])], callbacks=[stop])
    assert 0 < model.best_iteration_ < 60
    return model


def _ranker() -> Any:
    import lightgbm

    x, score = data()
    model = lightgbm.LGBMRanker(**_COMMON)
    return model.fit(x, classes_of(score, 4), group=[30] * (len(x) // 30))


def squared_error(target: Any, predicted: Any) -> Any:
    """An objective in Python: gradient and hessian of half the squared error."""
    return predicted - target, np.ones_like(predicted)


def logistic(target: Any, predicted: Any) -> Any:
    """Another, for two classes."""
    share = 1 / (1 + np.exp(-predicted))
    return share - target, share * (1 - share)


def _trained_further() -> Any:
    """The first rounds saw no NaN (missing_type None), the others did (missing_type NaN)."""
    import lightgbm

    x, score = data(holed=False)
    first = lightgbm.LGBMRegressor(**_COMMON).fit(x, score)
    return lightgbm.LGBMRegressor(**_COMMON).fit(data()[0], score, init_model=first)


def _trained_further_on_codes() -> Any:
    """The first rounds took two columns for numbers, the others for categories."""
    import lightgbm

    x, score = data()
    first = lightgbm.LGBMRegressor(**_COMMON).fit(x, score)
    return lightgbm.LGBMRegressor(**_COMMON).fit(x, score, init_model=first, **_CODES)


def _large_codes() -> Any:
    import lightgbm

    x, score = data()
    x = x.copy()
    x[:, CATEGORICAL[1]] = x[:, CATEGORICAL[1]] * 997 + 3
    return lightgbm.LGBMRegressor(**_COMMON, min_data_per_group=5).fit(x, score, **_CODES)


MODELS: dict[str, Maker] = {
    name: cache(maker)
    for name, maker in {
        "binary": _classifier(),
        "binary, sigmoid 2.5": _classifier(sigmoid=2.5),
        "binary, dart": _classifier(**_DART),
        "binary, random forest": _classifier(**_FOREST),
        "binary, deep": _classifier(num_leaves=127, n_estimators=40, min_child_samples=2),
        "multiclass": _classifier(4),
        "multiclass, random forest": _classifier(3, **_FOREST),
        "multiclass, 25 classes": _classifier(25, n_estimators=6, num_leaves=8),
        "multiclassova": _classifier(4, objective="multiclassova", sigmoid=1.5),
        "classes by cross entropy": _classifier(objective="cross_entropy"),
        "regression": _regressor(),
        "regression, sqrt": _regressor(reg_sqrt=True),
        "wide": _regressor(rows=wide_data),
        "large": _regressor(rows=long_data, n_estimators=120, num_leaves=255),
        "regression, dart": _regressor(**_DART),
        "regression, random forest": _regressor(**_FOREST),
        "regression, goss": _regressor(data_sample_strategy="goss"),
        "regression, stumps": _regressor(num_leaves=2, n_estimators=80),
        "regression, lone leaves": _regressor(min_gain_to_split=20.0),
        "regression, extra trees": _regressor(extra_trees=True),
        "zero as missing": _regressor(zero_as_missing=True),
        "no missing": _regressor(use_missing=False),
        "trained without NaN": _regressor(rows=lambda: data(holed=False)),
        "l1": _regressor(objective="regression_l1"),
        "huber": _regressor(objective="huber"),
        "fair": _regressor(objective="fair"),
        "quantile": _regressor(objective="quantile", alpha=0.3),
        "mape": _regressor(_positive, objective="mape"),
        "poisson": _regressor(lambda s: np.floor(_positive(s)), objective="poisson"),
        "gamma": _regressor(_positive, objective="gamma"),
        "tweedie": _regressor(_positive, objective="tweedie"),
        "cross_entropy": _booster({"objective": "cross_entropy"}, _share),
        "cross_entropy_lambda": _booster({"objective": "cross_entropy_lambda"}, _share),
        "booster, multiclass": _booster(
            {"objective": "multiclass", "num_class": 3}, lambda s: classes_of(s, 3)
        ),
        "categories": _regressor(fit=_CODES, min_data_per_group=5),
        "categories, one-hot": _classifier(fit=_CODES, max_cat_to_onehot=100),
        "categories, multiclass": _classifier(3, fit=_CODES, min_data_per_group=5),
        "categories, zero as missing": _regressor(
            fit=_CODES, min_data_per_group=5, zero_as_missing=True
        ),
        "categories, large codes": _large_codes,
        "best iteration": _best_iteration,
        "ranker": _ranker,
        "own objective": _regressor(objective=squared_error),
        "own objective, classes": _classifier(objective=logistic),
        "trained further on other data": _trained_further,
        "trained further on categories": _trained_further_on_codes,
    }.items()
}
