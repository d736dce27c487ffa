"""What every adapter gives: the opened model behind one face, whatever library it came from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from slipstream.errors import MissingDependencyError
from slipstream.models.manifest import Column, Layout, Task

Array = npt.NDArray[Any]


@dataclass(kw_only=True)
class Served:
    """An opened model that answers like its library's scikit-learn wrapper.

    Attributes:
        library: "sklearn", "xgboost", "lightgbm" or "custom".
        framework: Library and version, as the manifest shows it.
        estimator: The object itself.
        task: What its predictions are.
        width: Number of columns of a row; None if any.
        columns: Named columns in training order, or None.
        layout: "matrix", or "columns" when some column is not a number.
        needs_frame: Whether it must be given a pandas DataFrame.
        is_text: Whether a row is one text (a pipeline that begins with a vectorizer).
        classes: One array of class labels per target; empty when it does not classify.
        predict: rows -> [n] or [n, targets].
        predict_proba: rows -> one [n, classes] array per target; None if the model has none.
        batchable: Whether rows of different requests may share a call.
        reason: Why conversion may not even be tried; None if it may.
    """

    library: str
    framework: str
    estimator: Any
    task: Task
    width: int | None
    predict: Callable[[Any], Array]
    predict_proba: Callable[[Any], list[Array]] | None = None
    columns: tuple[Column, ...] | None = None
    layout: Layout = "matrix"
    needs_frame: bool = False
    is_text: bool = False
    classes: tuple[Array, ...] = ()
    batchable: bool = True
    reason: str | None = None

    @property
    def estimator_name(self) -> str:
        """The class of the original."""
        return str(getattr(self.estimator, "shown_as", type(self.estimator).__name__))

    def rows(self, inputs: list[Array]) -> Any:
        """What the estimator takes, made of the input tensors.

        Args:
            inputs: ``[rows, width]`` alone for layout "matrix"; else one ``[rows, 1]`` or
                ``[rows]`` array per column (object arrays of str, NaN where missing, for text).
        """
        if self.layout == "matrix":
            if not self.needs_frame:
                return inputs[0]
            return _frame(self.columns or (), list(np.asarray(inputs[0]).T))
        flat = [np.asarray(column).reshape(-1) for column in inputs]
        if self.is_text:
            return flat[0]
        if self.needs_frame:
            return _frame(self.columns or (), flat)
        table = np.empty((len(flat[0]), len(flat)), dtype=object)
        for place, column in enumerate(flat):
            table[:, place] = column
        return table


def _frame(columns: tuple[Column, ...], values: list[Array]) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(
            "this model was trained on a pandas table and needs pandas to answer: "
            "pip install 'slipstream[sklearn]'"
        ) from error
    return pd.DataFrame(
        {
            column.name: pd.Series(
                data, dtype=object if column.dtype == "string" else None, copy=False
            )
            for column, data in zip(columns, values, strict=True)
        }
    )


def quiet() -> AbstractContextManager[Any]:
    """Silence what libraries warn of at predict time (missing feature names, other versions)."""
    return warnings.catch_warnings(action="ignore")


@cache
def distribution_version(*names: str) -> str:
    """The version of the first of these distributions that is installed; "" if none is.

    Looked up once: it parses a file, and every load and reload asks for a dozen.
    """
    from importlib.metadata import PackageNotFoundError, version

    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def missing_package(package: str, extra: str, error: ImportError) -> MissingDependencyError:
    """The error for a model whose library is not there."""
    return MissingDependencyError(
        f"this model needs {package}, which cannot be imported ({error}): "
        f"pip install 'slipstream[{extra}]'",
        package=package,
        extra=extra,
    )
