"""LightGBM: pickled wrappers and boosters, and model text files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.adapters.base import Array, Served, missing_package
from slipstream.adapters.trees import (
    Comparison,
    Decision,
    Link,
    Missing,
    TreeBuilder,
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
    if isinstance(estimator, BoosterModel):
        return estimator.classifies
    return type(estimator).__name__ == "LGBMClassifier"


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


def extract(estimator: Any) -> TreeEnsemble:
    """The trees of the booster, up to its best iteration.

    Raises:
        UnconvertibleError: Categories, linear leaves, objectives without a rule.
    """
    booster = estimator.booster_
    text = booster.model_to_string()  # its default is what predict uses: the best iteration
    header = _header(text)
    outputs = int(header["num_tree_per_iteration"])
    features = int(header["max_feature_idx"]) + 1
    missing: list[Missing | None] = [None] * features
    builder = TreeBuilder()
    blocks = text.split("\nTree=")[1:]
    for number, block in enumerate(blocks):
        body = block.partition("\n\n")[0]
        fields = dict(line.split("=", 1) for line in body.splitlines()[1:] if "=" in line)
        _add_tree(builder, fields, number % outputs, missing)
    link, scale, decision = _answer_of(header.get("objective", ""), _classifies(estimator))
    return TreeEnsemble(
        n_features=features,
        n_outputs=outputs,
        comparison=Comparison.LE_F64,
        missing=tuple(rule or Missing.AS_ZERO for rule in missing),
        zero_flush=True,
        base=np.zeros(outputs),
        divisor=float(len(blocks) // outputs) if "average_output" in header else 1.0,
        link=link,
        link_scale=scale,
        decision=decision,
        **builder.arrays(),
    ).check()


_MISSING_TYPES = {0: Missing.AS_ZERO, 1: Missing.ZERO_TOO, 2: Missing.DIRECTED}
_CATEGORICAL_BIT = 1
_DEFAULT_LEFT_BIT = 2


def _add_tree(
    builder: TreeBuilder, fields: dict[str, str], output: int, missing: list[Missing | None]
) -> None:
    if int(fields.get("is_linear", "0")):
        raise UnconvertibleError("its leaves are linear models")
    if int(fields.get("num_cat", "0")):
        raise UnconvertibleError("it splits on categorical features")
    leaves = np.array(fields["leaf_value"].split(), dtype=np.float64)
    inner = int(fields["num_leaves"]) - 1
    if inner == 0:
        builder.add(
            feature=[0], threshold=[0.0], left=[-1], right=[-1], missing_left=[False],
            leaf_value=leaves[:1], output=output,
        )  # fmt: skip
        return
    features = np.array(fields["split_feature"].split(), dtype=np.int64)
    kinds = np.array(fields["decision_type"].split(), dtype=np.int64)
    if (kinds & _CATEGORICAL_BIT).any():
        raise UnconvertibleError("it splits on categorical features")
    for feature, kind in zip(features.tolist(), ((kinds >> 2) & 3).tolist(), strict=True):
        rule = _MISSING_TYPES.get(kind)
        if rule is None or missing[feature] not in (None, rule):
            raise UnconvertibleError(f"feature {feature} treats missing values in two ways")
        missing[feature] = rule
    none, ends = np.zeros(len(leaves)), np.full(len(leaves), -1)
    builder.add(
        feature=np.concatenate([features, none]),
        threshold=np.concatenate([np.array(fields["threshold"].split(), dtype=np.float64), none]),
        left=np.concatenate([_children(fields["left_child"], inner), ends]),
        right=np.concatenate([_children(fields["right_child"], inner), ends]),
        missing_left=np.concatenate([(kinds & _DEFAULT_LEFT_BIT) != 0, none.astype(bool)]),
        leaf_value=np.concatenate([np.zeros(inner), leaves]),
        output=output,
    )


def _children(text: str, inner: int) -> Array:
    """LightGBM writes leaf i as ~i; here the leaves follow the inner nodes."""
    children = np.array(text.split(), dtype=np.int64)
    return np.where(children < 0, inner + ~children, children)


_IDENTITY = (
    "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg"
)  # fmt: skip
_EXP = ("poisson", "gamma", "tweedie")


def _answer_of(objective: str, classifies: bool) -> tuple[Link, float, Decision | None]:
    name, *rest = objective.split(" ") if objective else [""]
    scale = next((float(part[8:]) for part in rest if part.startswith("sigmoid:")), 1.0)
    if name == "binary" and classifies:
        return Link.SIGMOID, scale, Decision.ARGMAX
    if name == "multiclass" and classifies:
        return Link.SOFTMAX, 1.0, Decision.ARGMAX
    if name == "multiclassova" and classifies:
        return Link.SIGMOID_EACH, scale, Decision.ARGMAX
    if name == "cross_entropy":
        return Link.SIGMOID_EACH, 1.0, None
    if name == "cross_entropy_lambda":
        return Link.LOG1P_EXP, 1.0, None
    if name in _EXP:
        return Link.EXP, 1.0, None
    if name in _IDENTITY:
        return (Link.SIGNED_SQUARE if "sqrt" in rest else Link.IDENTITY), 1.0, None
    raise UnconvertibleError(f"its objective {name or '(custom)'} has no rule")
