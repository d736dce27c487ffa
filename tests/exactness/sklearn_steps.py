"""Transformers of scikit-learn of every kind that becomes a step, and columns of words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exactness.counts import Array


def preprocessing(name: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        from sklearn import preprocessing

        return getattr(preprocessing, name)(**options)

    return make


def imputer(**options: Any) -> Callable[[], Any]:
    def make() -> Any:
        from sklearn.impute import SimpleImputer

        return SimpleImputer(**options)

    return make


def function(function: Any) -> Callable[[], Any]:
    return preprocessing("FunctionTransformer", func=function)


def _union() -> Any:
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    parts = [("a", make_pipeline(StandardScaler(), MinMaxScaler())), ("b", "passthrough")]
    return FeatureUnion(parts, transformer_weights={"a": 0.3})


def columns() -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler

    return ColumnTransformer(
        [
            ("codes", OneHotEncoder(handle_unknown="ignore"), [0]),
            ("some", StandardScaler(), [4, 1]),
            ("none", "drop", [2]),
            ("slice", RobustScaler(), slice(5, 8)),
        ],
        remainder="passthrough",
        transformer_weights={"some": 2.5},
    )


def _selected() -> Any:
    from sklearn.feature_selection import SelectKBest, f_regression

    return SelectKBest(f_regression, k=4)


SCALING: dict[str, Callable[[], Any]] = {
    "standard": preprocessing("StandardScaler"),
    "standard, not centred": preprocessing("StandardScaler", with_mean=False),
    "robust": preprocessing("RobustScaler", quantile_range=(10, 90)),
    "min-max": preprocessing("MinMaxScaler", feature_range=(-1.5, 0.7)),
    "min-max, clipped": preprocessing("MinMaxScaler", clip=True),
    "max-abs": preprocessing("MaxAbsScaler"),
    "max-abs, clipped": preprocessing("MaxAbsScaler", clip=True),
    "binarizer": preprocessing("Binarizer", threshold=0.01),
    "bins": preprocessing("KBinsDiscretizer", n_bins=5, encode="ordinal"),
    "bins, one-hot": preprocessing("KBinsDiscretizer", n_bins=4, encode="onehot"),
    "uniform bins": preprocessing(
        "KBinsDiscretizer", n_bins=6, encode="onehot-dense", strategy="uniform"
    ),
    "polynomials": preprocessing("PolynomialFeatures", degree=3),
    "interactions": preprocessing(
        "PolynomialFeatures", degree=2, interaction_only=True, include_bias=False
    ),
    "square": function(np.square),
    "absolute": function(np.abs),
    "identity": preprocessing("FunctionTransformer"),
    "union": _union,
    "columns": columns,
    "selection": _selected,
}


IMPUTING: dict[str, Callable[[], Any]] = {
    **{
        f"{strategy}{', marked' if mark else ''}": imputer(strategy=strategy, add_indicator=mark)
        for strategy in ("mean", "median", "most_frequent", "constant")
        for mark in (False, True)
    },
    "constant -7": imputer(strategy="constant", fill_value=-7.5),
}


WORDS = ("red", "green", "Blau", "", "no", "ünknown", "x" * 70)


def words(count: int, *, seed: int, known: int = 5, missing: float = 0.15) -> Array:
    """object[count, 1]: the first ``known`` of `WORDS`, NaN where missing."""
    rng = np.random.default_rng(seed)
    column = rng.choice(np.array(WORDS[:known], dtype=object), size=(count, 1))
    column[rng.random((count, 1)) < missing] = np.nan
    return column


def encoder(name: str, **options: Any) -> Callable[[], Any]:
    return preprocessing(name, **options)


ENCODING: dict[str, Callable[[], Any]] = {
    "one-hot": encoder("OneHotEncoder", handle_unknown="ignore"),
    "one-hot, dense": encoder("OneHotEncoder", handle_unknown="ignore", sparse_output=False),
    "one-hot, first dropped": encoder("OneHotEncoder", handle_unknown="ignore", drop="first"),
    "one-hot, binary dropped": encoder(
        "OneHotEncoder", handle_unknown="ignore", drop="if_binary"
    ),
    "one-hot, infrequent": encoder(
        "OneHotEncoder", handle_unknown="infrequent_if_exist", min_frequency=0.17
    ),
    "one-hot, few": encoder(
        "OneHotEncoder", handle_unknown="infrequent_if_exist", max_categories=3, drop="first"
    ),
    "ordinal": encoder(
        "OrdinalEncoder", handle_unknown="use_encoded_value", unknown_value=-1
    ),
    "ordinal, missing": encoder(
        "OrdinalEncoder", handle_unknown="use_encoded_value", unknown_value=np.nan,
        encoded_missing_value=-3,
    ),
    "ordinal, infrequent": encoder(
        "OrdinalEncoder", handle_unknown="use_encoded_value", unknown_value=99, max_categories=3
    ),
    "target": encoder("TargetEncoder", target_type="continuous", cv=3, random_state=0),
    "target, binary": encoder("TargetEncoder", target_type="binary", cv=3, random_state=0),
    "target, classes": encoder("TargetEncoder", target_type="multiclass", cv=3, random_state=0),
}  # fmt: skip
