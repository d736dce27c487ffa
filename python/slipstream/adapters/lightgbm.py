"""LightGBM: pickled wrappers and boosters, and model text files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.adapters.base import Array, Served, missing_package
from slipstream.adapters.lightgbm_trees import forest_of
from slipstream.adapters.trees import (
    Comparison,
    Decision,
    Link,
    TreeEnsemble,
    UnconvertibleError,
)
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Column, Task

_UNNAMED = re.compile(r"Column_\d+")


class BoosterModel:
    """A bare booster, answering as LightGBM's scikit-learn wrapper would."""

    shown_as = "Booster"

    def __init__(self, booster: Any) -> None:
        self.booster_ = booster
        self.objective = _header(booster.model_to_string(num_iteration=1)).get("objective", "")
        kind = self.objective.split(" ")[0]
        self.classifies = kind in ("binary", "multiclass", "multiclassova")
        if self.classifies:
            per_round = booster.num_model_per_iteration()
            self.classes_ = np.arange(2 if per_round == 1 else per_round)

    def predict(self, rows: Any) -> Array:
        """[n]: class indices for a classification objective, else the booster's answer."""
        if self.classifies:
            return np.asarray(np.argmax(self.predict_proba(rows), axis=1))
        return np.asarray(self.booster_.predict(rows, validate_features=False))

    def predict_proba(self, rows: Any) -> Array:
        """f64[n, classes]."""
        answer = np.asarray(self.booster_.predict(rows, validate_features=False))
        return np.column_stack([1.0 - answer, answer]) if answer.ndim == 1 else answer


def open_file(path: Path) -> BoosterModel:
    """The model in a text file that LightGBM's ``save_model`` wrote."""
    try:
        import lightgbm
    except ImportError as error:
        raise missing_package("lightgbm", "lightgbm", error) from error
    try:
        return BoosterModel(lightgbm.Booster(model_str=path.read_text(encoding="utf-8")))
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        raise ModelLoadError(f"LightGBM cannot read the file: {str(error)[:300]}") from error


def serve(estimator: Any) -> Served:
    """A wrapper or a bare booster behind the common face."""
    try:
        import lightgbm
    except ImportError as error:
        raise missing_package("lightgbm", "lightgbm", error) from error
    if isinstance(estimator, lightgbm.Booster):
        estimator = BoosterModel(estimator)
    booster = getattr(estimator, "_Booster", None) or getattr(estimator, "booster_", None)
    if booster is None:
        raise ModelLoadError(f"{type(estimator).__name__} is not fitted: fit it before saving")
    if booster.pandas_categorical:
        raise ModelLoadError(
            "this LightGBM model was trained on pandas categories, which rows of JSON cannot "
            "carry: encode them in a scikit-learn Pipeline (OrdinalEncoder) and save that"
        )
    names = booster.feature_name()
    named = not all(_UNNAMED.fullmatch(name) for name in names)
    classes = getattr(estimator, "classes_", None) if _classifies(estimator) else None
    task: Task = "regression"
    if classes is not None:
        task = "classification"
    elif "rank" in _header(booster.model_to_string(num_iteration=1)).get("objective", ""):
        task = "ranking"
    return Served(
        library="lightgbm",
        framework=f"lightgbm {lightgbm.__version__}",
        estimator=estimator,
        task=task,
        width=int(booster.num_feature()),
        predict=lambda rows: np.asarray(estimator.predict(rows)),
        predict_proba=_probabilities(estimator) if classes is not None else None,
        columns=tuple(Column(name=n, dtype="float64") for n in names) if named else None,
        classes=(np.asarray(classes),) if classes is not None else (),
    )


def _classifies(estimator: Any) -> bool:
    """Whether it predicts labels; with an objective of the user's own it gives the sums instead."""
    if isinstance(estimator, BoosterModel):
        return estimator.classifies
    is_classifier = type(estimator).__name__ == "LGBMClassifier"
    return is_classifier and not callable(getattr(estimator, "_objective", None))


def _probabilities(estimator: Any) -> Any:
    def predict_proba(rows: Any) -> list[Array]:
        return [np.asarray(estimator.predict_proba(rows))]

    return predict_proba


def is_tree_model(estimator: Any) -> bool:
    """Whether this is a LightGBM wrapper or a bare booster."""
    return isinstance(estimator, BoosterModel) or type(estimator).__module__.startswith("lightgbm.")


def _header(text: str) -> dict[str, str]:
    """``key=value`` lines up to the first tree; keys without a value map to ""."""
    head = text.partition("\nTree=")[0]
    return {key: value for key, _, value in (line.partition("=") for line in head.splitlines())}


_LINKS = {
    "binary": Link.SIGMOID_EACH,
    "cross_entropy": Link.SIGMOID_EACH,
    "multiclassova": Link.SIGMOID_EACH,
    "multiclass": Link.SOFTMAX,
    "cross_entropy_lambda": Link.LOG1P_EXP,
    **dict.fromkeys(("poisson", "gamma", "tweedie"), Link.EXP),
    **dict.fromkeys(
        (
            "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank",
            "rank_xendcg", "custom", "",
        ),
        Link.IDENTITY,
    ),
}  # fmt: skip
"""By the first word of the model's objective; a model trained with a function has none."""


def extract(estimator: Any) -> TreeEnsemble:
    """The trees of the booster, up to its best iteration.

    Raises:
        UnconvertibleError: Linear leaves, predictions that stop early, objectives without a rule.
        ModelLoadError: The trees are damaged.
    """
    if _stops_early(estimator):
        raise UnconvertibleError("it stops early while it predicts (pred_early_stop)")
    booster = estimator.booster_
    text = booster.model_to_string()  # its default is what predict uses: the best iteration
    header = _header(text)
    outputs = int(header["num_tree_per_iteration"])
    forest = forest_of(text, outputs, int(header["max_feature_idx"]) + 1)
    link, scale = _link_of(header.get("objective", ""))
    pair = outputs == 1 and _classifies(estimator)
    if pair and link is Link.SIGMOID_EACH:
        link = Link.SIGMOID
    rounds = len(forest["roots"]) // outputs
    return TreeEnsemble(
        n_outputs=outputs,
        comparison=Comparison.LE_F64,
        zero_flush=True,
        base=np.zeros(outputs),
        divisor=float(rounds) if "average_output" in header else 1.0,
        link=link,
        link_scale=scale,
        decision=Decision.ARGMAX if _classifies(estimator) else None,
        pair=pair,
        **forest,
    ).check()


def _stops_early(estimator: Any) -> bool:
    """Whether the wrapper passes LightGBM's early stopping of predictions on to `predict`."""
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    return bool(parameters.get("pred_early_stop", False))


def _link_of(objective: str) -> tuple[Link, float]:
    """(link, scale) of an objective as the model's text names it."""
    name, *rest = objective.split(" ") if objective else [""]
    link = _LINKS.get(name)
    if link is None:
        raise UnconvertibleError(f"its objective {name} has no rule")
    if link is Link.IDENTITY and "sqrt" in rest:
        link = Link.SIGNED_SQUARE
    scale = next((float(part[8:]) for part in rest if part.startswith("sigmoid:")), 1.0)
    return link, scale
