"""What XGBoost and LightGBM tell about their models' decisions, as cases of the gate."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from exactness import lightgbm_models, xgboost_models
from exactness.counts import Array
from exactness.gate import Case
from exactness.rows import facts_of
from slipstream.adapters import lightgbm, xgboost


@cache
def xgboost_case(name: str) -> Case:
    """One of `xgboost_models.MODELS`. The library predicts in place, as its wrappers do."""
    import xgboost as library

    served = xgboost.serve(xgboost_models.MODELS[name]())
    estimator = served.estimator
    trees = xgboost.extract(estimator)
    rounds = estimator._get_iteration_range(None)
    missing = estimator.missing

    def leaves(rows: Array) -> Array:
        matrix = library.DMatrix(rows, missing=missing)
        told = estimator.get_booster().predict(matrix, pred_leaf=True, iteration_range=rounds)
        return np.asarray(told)

    return Case(
        library="xgboost",
        name=name,
        served=served,
        facts=facts_of(trees, xgboost_models.training_of(name)),
        trees=trees,
        raw=lambda rows: np.asarray(estimator.predict(rows, output_margin=True)),
        leaves=leaves,
        tells_leaves=_finite_in_float32,
    )


def _finite_in_float32(rows: Array) -> Array:
    """Leaves are told for a DMatrix only, and that refuses infinity."""
    with np.errstate(over="ignore"):
        finite: Array = ~np.isinf(rows.astype(np.float32)).any(axis=1)
    return finite


@cache
def lightgbm_case(name: str) -> Case:
    """One of `lightgbm_models.MODELS`."""
    served = lightgbm.serve(lightgbm_models.MODELS[name]())
    booster: Any = served.estimator.booster_
    trees = lightgbm.extract(served.estimator)

    def raw(rows: Array) -> Array:
        # The raw scores of an averaging forest are its sums before they are divided.
        return np.asarray(booster.predict(rows, raw_score=True)) / trees.divisor

    return Case(
        library="lightgbm",
        name=name,
        served=served,
        facts=facts_of(trees, xgboost_models.training_of(name)),
        trees=trees,
        raw=raw,
        leaves=lambda rows: np.asarray(booster.predict(rows, pred_leaf=True)),
    )
