"""XGBoost: pickled wrappers and boosters, ``.ubj`` and ``.json`` files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.adapters import xgboost_trees
from slipstream.adapters.base import Array, Served, missing_package
from slipstream.adapters.trees import (
    Comparison,
    Decision,
    Link,
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
    if "c" in (booster.feature_types or []) and _knows_categories_by_name(booster):
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


def _knows_categories_by_name(booster: Any) -> bool:
    """Whether its categories came with a data frame; else they are the numbers in the rows.

    Before 3.1 XGBoost did not keep a frame's categories, so column names count as one.
    """
    if booster.feature_names is not None:
        return True
    return hasattr(booster, "get_categories") and not booster.get_categories().empty()


def _probabilities(estimator: Any) -> Any:
    def predict_proba(rows: Any) -> list[Array]:
        return [np.asarray(estimator.predict_proba(rows))]

    return predict_proba


def is_tree_model(estimator: Any) -> bool:
    """Whether this is an XGBoost wrapper (whose booster may still not be made of trees)."""
    return type(estimator).__module__.startswith("xgboost.") and hasattr(estimator, "get_booster")


_LINKS = {
    "binary:logistic": Link.SIGMOID_EACH,
    "reg:logistic": Link.SIGMOID_EACH,
    "binary:hinge": Link.STEP,
    "multi:softprob": Link.SOFTMAX,
    "multi:softmax": Link.SOFTMAX,
    **dict.fromkeys(
        ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox"), Link.EXP
    ),
    "survival:aft": Link.EXP_OF_F64,
    **dict.fromkeys(
        (
            "binary:logitraw", "reg:squarederror", "reg:linear", "reg:squaredlogerror",
            "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror",
            "rank:pairwise", "rank:ndcg", "rank:map",
        ),
        Link.IDENTITY,
    ),
}  # fmt: skip
_ONE_EXPECTILE = "reg:expectileerror"


def extract(estimator: Any) -> TreeEnsemble:
    """The trees of a wrapper's booster, up to its best iteration.

    They answer as the wrapper does, which predicts in place: the sums are the margins bit by bit.

    Raises:
        UnconvertibleError: Linear boosters, objectives without a rule.
        ModelLoadError: The trees are damaged.
    """
    import xgboost

    booster = estimator.get_booster()
    document = json.loads(bytes(booster.save_raw("json")))
    objective = document["learner"]["objective"]["name"]
    forest = xgboost_trees.forest_of(document, _rounds(estimator), xgboost.__version__)
    outputs = len(forest.base)
    link, decision, pair = _answer_of(estimator, objective, outputs)
    missing = getattr(estimator, "missing", None)
    return TreeEnsemble(
        n_outputs=outputs,
        comparison=Comparison.LT_F32,
        base=forest.base.astype(np.float64),
        missing_value=np.nan if missing is None else float(missing),
        link=link,
        decision=decision,
        pair=pair,
        float32_answers=True,
        **forest.arguments,
    ).check()


def _rounds(estimator: Any) -> int | None:
    try:
        return int(estimator.best_iteration) + 1
    except AttributeError:  # trained without early stopping
        return None


def _answer_of(estimator: Any, objective: str, outputs: int) -> tuple[Link, Decision | None, bool]:
    """(link, decision, pair) of the wrapper's answers."""
    import xgboost

    link = _LINKS.get(objective)
    if objective == _ONE_EXPECTILE and outputs == 1:
        link = Link.IDENTITY
    if link is None:
        raise UnconvertibleError(f"its objective {objective} has no rule")
    if not isinstance(estimator, xgboost.XGBClassifier):
        if objective == "multi:softmax":
            raise UnconvertibleError("it is no classifier, and answers class numbers")
        return link, None, False
    if link is Link.SOFTMAX:
        if outputs == 2:
            raise UnconvertibleError("XGBClassifier answers softmax over two classes as two labels")
        by_sum = objective == "multi:softmax"
        return link, Decision.ARGMAX_SUM if by_sum else Decision.ARGMAX, False
    if outputs == 1 and link is Link.SIGMOID_EACH:
        link = Link.SIGMOID
    return link, Decision.ABOVE_HALF, outputs == 1
