"""XGBoost: pickled wrappers and boosters, ``.ubj`` and ``.json`` files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.adapters.base import Array, Served, missing_package
from slipstream.adapters.trees import (
    Comparison,
    Decision,
    Link,
    TreeBuilder,
    TreeEnsemble,
    UnconvertibleError,
)
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Column, Task


def open_file(path: Path) -> Any:
    """The wrapper that scikit-learn users would have, around a model in XGBoost's own format."""
    try:
        import xgboost
    except ImportError as error:
        raise missing_package("xgboost", "xgboost", error) from error
    try:
        # The bytes, not the path: XGBoost tells its formats apart by the file's suffix.
        return wrap(xgboost.Booster(model_file=bytearray(path.read_bytes())))
    except xgboost.core.XGBoostError as error:
        told = [
            line.strip()
            for line in str(error).splitlines()
            if line.strip() and not line.strip().startswith(("[bt]", "Stack trace"))
        ]  # addresses and install paths are nobody's business
        reason = told[-1][:300] if told else "no reason given"
        raise ModelLoadError(f"XGBoost cannot read the file: {reason}") from error


def wrap(booster: Any) -> Any:
    """The scikit-learn wrapper that the booster's objective calls for."""
    import xgboost

    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    if objective.startswith(("binary:", "multi:")):
        wrapper: Any = xgboost.XGBClassifier()
    elif objective.startswith("rank:"):
        wrapper = xgboost.XGBRanker()
    else:
        wrapper = xgboost.XGBRegressor()
    wrapper.load_model(booster.save_raw("ubj"))
    return wrapper


def serve(estimator: Any) -> Served:
    """A wrapper, or a bare booster (which gets one), behind the common face."""
    try:
        import xgboost
    except ImportError as error:
        raise missing_package("xgboost", "xgboost", error) from error
    if isinstance(estimator, xgboost.Booster):
        estimator = wrap(estimator)
    try:
        booster = estimator.get_booster()
    except Exception as error:  # NotFittedError is scikit-learn's, which may not be installed
        raise ModelLoadError(f"{type(estimator).__name__} is not fitted: {error}") from error
    classifies = isinstance(estimator, xgboost.XGBClassifier)
    names = booster.feature_names
    types = booster.feature_types or []
    if "c" in types:
        raise ModelLoadError(
            "this XGBoost model was trained on pandas categories, which rows of JSON cannot "
            "carry: encode them in a scikit-learn Pipeline (OrdinalEncoder) and save that"
        )
    width = int(booster.num_features())
    task: Task = "regression"
    if classifies:
        task = "classification"
    elif isinstance(estimator, xgboost.XGBRanker):
        task = "ranking"
    return Served(
        library="xgboost",
        framework=f"xgboost {xgboost.__version__}",
        estimator=estimator,
        task=task,
        width=width,
        predict=lambda rows: np.asarray(estimator.predict(rows)),
        predict_proba=_probabilities(estimator) if classifies else None,
        columns=tuple(Column(name=n, dtype="float64") for n in names) if names else None,
        needs_frame=bool(names) and not estimator._can_use_inplace_predict(),
        classes=(np.asarray(estimator.classes_),) if classifies else (),
    )


def _probabilities(estimator: Any) -> Any:
    def predict_proba(rows: Any) -> list[Array]:
        return [np.asarray(estimator.predict_proba(rows))]

    return predict_proba


def is_tree_model(estimator: Any) -> bool:
    """Whether this is an XGBoost wrapper (whose booster may still not be made of trees)."""
    return type(estimator).__module__.startswith("xgboost.") and hasattr(estimator, "get_booster")


_LOG_BASE = ("count:poisson", "reg:gamma", "reg:tweedie")
_IDENTITY = (
    "reg:squarederror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
)


def extract(estimator: Any) -> TreeEnsemble:
    """The trees of a wrapper's booster, up to its best iteration.

    Raises:
        UnconvertibleError: Linear boosters, categories, several targets, objectives without a rule.
    """
    missing = getattr(estimator, "missing", np.nan)
    if missing is not None and not np.isnan(missing):
        raise UnconvertibleError(f"it takes {missing} as missing")
    booster = estimator.get_booster()
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective = learner["objective"]["name"]
    link, decision, outputs, to_margin = _answer_of(objective, learner)
    trees, groups, weights = _trees_of(learner["gradient_booster"], estimator)
    builder = TreeBuilder()
    for tree, group, weight in zip(trees, groups, weights, strict=True):
        if any(tree["split_type"]):
            raise UnconvertibleError("it splits on categorical features")
        if tree["tree_param"]["size_leaf_vector"] not in ("0", "1"):
            raise UnconvertibleError("its leaves hold several targets")
        conditions = np.array(tree["split_conditions"], dtype=np.float32)
        builder.add(
            feature=tree["split_indices"],
            threshold=conditions,
            left=tree["left_children"],
            right=tree["right_children"],
            missing_left=tree["default_left"],
            leaf_value=conditions * np.float32(weight),
            output=group,
        )
    parameters = learner["learner_model_param"]
    base = np.array(
        [float(part) for part in parameters["base_score"].strip("[]").split(",")], dtype=np.float32
    )
    return TreeEnsemble(
        n_features=int(parameters["num_feature"]),
        n_outputs=outputs,
        comparison=Comparison.LT_F32,
        base=np.broadcast_to(to_margin(base.astype(np.float64)), (outputs,)).copy(),
        link=link,
        decision=decision,
        float32_answers=True,
        **builder.arrays(),
    ).check()


def _answer_of(objective: str, learner: Any) -> tuple[Link, Decision | None, int, Any]:
    """(link, decision, outputs, base score -> margin) of an objective."""
    if int(learner["learner_model_param"].get("num_target", "1")) > 1:
        raise UnconvertibleError("it predicts several targets")
    same = _same
    if objective == "binary:logistic":
        return Link.SIGMOID, Decision.ABOVE_HALF, 1, _logit
    if objective == "reg:logistic":
        return Link.SIGMOID_EACH, None, 1, _logit
    if objective == "multi:softprob":
        classes = int(learner["learner_model_param"]["num_class"])
        return Link.SOFTMAX, Decision.ARGMAX, classes, same
    if objective in _LOG_BASE:
        return Link.EXP, None, 1, np.log
    if objective in _IDENTITY:
        return Link.IDENTITY, None, 1, same
    raise UnconvertibleError(f"its objective {objective} has no rule")


def _same(base: Any) -> Any:
    return base


def _logit(base: Any) -> Any:
    return -np.log(1.0 / base - 1.0)


def _trees_of(booster: Any, estimator: Any) -> tuple[list[Any], list[int], list[float]]:
    """Trees, the class each adds to, and its weight, up to the best iteration."""
    if booster["name"] not in ("gbtree", "dart"):
        raise UnconvertibleError(f"its booster is {booster['name']}, not trees")
    model = booster["gbtree"]["model"] if booster["name"] == "dart" else booster["model"]
    trees, groups = model["trees"], [int(group) for group in model["tree_info"]]
    weights = [float(w) for w in booster.get("weight_drop", [1.0] * len(trees))]
    try:
        rounds = estimator.best_iteration + 1
    except AttributeError:  # trained without early stopping
        return trees, groups, weights
    end = model["iteration_indptr"][rounds]
    return trees[:end], groups[:end], weights[:end]
