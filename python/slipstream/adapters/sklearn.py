"""scikit-learn: estimators and whole pipelines behind the common face."""

from __future__ import annotations

from typing import Any

import numpy as np

from slipstream.adapters.base import Array, Served, missing_package
from slipstream.adapters.sklearn_columns import TEXT_VECTORIZERS, columns_of, first_steps
from slipstream.errors import ModelLoadError, UnsafeModelError
from slipstream.models.manifest import Column, Task


def serve(estimator: Any) -> Served:
    """The estimator behind the common face.

    Raises:
        ModelLoadError: It cannot predict (a transformer, or it is not fitted).
        UnsafeModelError: It would read files that a request names.
    """
    try:
        import sklearn
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted
    except ImportError as error:
        raise missing_package("scikit-learn", "sklearn", error) from error
    name = type(estimator).__name__
    if not callable(getattr(estimator, "predict", None)):
        raise ModelLoadError(f"{name} has no predict(): save the whole fitted pipeline instead")
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise ModelLoadError(f"{name} is not fitted: fit it before saving") from error
    is_text = _is_text(estimator)
    columns = columns_of(estimator)
    is_table = columns is not None and any(c.dtype in ("string", "bool") for c in columns)
    if is_text:
        columns = (Column(name="text", dtype="string"),)
    named = getattr(estimator, "feature_names_in_", None) is not None
    width = 1 if is_text else _width(estimator)
    if not named and not is_table and not is_text:
        columns = None
    return Served(
        library="sklearn",
        framework=f"scikit-learn {sklearn.__version__}",
        estimator=estimator,
        task=_task(estimator),
        width=None if width is None else int(width),
        predict=lambda rows: np.asarray(estimator.predict(rows)),
        predict_proba=_probabilities(estimator),
        columns=columns,
        layout="columns" if is_table or is_text else "matrix",
        needs_frame=named and (is_table or _selects_by_name(estimator)),
        is_text=is_text,
        classes=classes_of(estimator),
    )


def _width(estimator: Any) -> Any:
    """Columns of a row; a pipeline that begins with "passthrough" knows it by its next step."""
    width = getattr(estimator, "n_features_in_", None)
    if width is None and hasattr(estimator, "steps"):
        return getattr(first_steps(estimator)[0], "n_features_in_", None)
    return width


def _task(estimator: Any) -> Task:
    from sklearn.base import is_classifier, is_outlier_detector, is_regressor

    if is_classifier(estimator):
        return "classification"
    if is_outlier_detector(estimator):
        return "outlier"
    return "regression" if is_regressor(estimator) else "clustering"


def _probabilities(estimator: Any) -> Any:
    if not hasattr(estimator, "predict_proba"):
        return None

    def predict_proba(rows: Any) -> list[Array]:
        answer = estimator.predict_proba(rows)
        return [np.asarray(part) for part in (answer if isinstance(answer, list) else [answer])]

    return predict_proba


def classes_of(estimator: Any) -> tuple[Array, ...]:
    """``classes_``, one array per target; empty where the estimator does not classify."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return ()
    if isinstance(classes, list):
        return tuple(np.asarray(part) for part in classes)
    return (np.asarray(classes),)


def _is_text(estimator: Any) -> bool:
    for step in first_steps(estimator):
        kind = type(step).__name__
        if kind in TEXT_VECTORIZERS:
            if getattr(step, "input", "content") != "content":
                raise UnsafeModelError(
                    f"{kind}(input={step.input!r}) would open the files that a request names: "
                    "train it with input='content'"
                )
            return True
    return False


def _selects_by_name(estimator: Any) -> bool:
    return any(hasattr(step, "transformers_") for step in first_steps(estimator))
