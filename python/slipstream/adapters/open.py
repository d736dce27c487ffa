"""One way to open any prepared source: the converter child and the process backend both use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from slipstream.adapters import custom, estimators, lightgbm, sklearn, xgboost
from slipstream.adapters.base import Served, quiet
from slipstream.errors import ModelLoadError
from slipstream.models import safe_pickle
from slipstream.models.safe_globals import Policy

SourceKind = Literal["pickle", "xgboost", "lightgbm", "custom"]


def open_source(
    path: Path, kind: str, custom_root: Path | None, ensemble_method: str | None = None
) -> Served:
    """Open an (uncompressed) model file.

    Args:
        path: The file.
        kind: "pickle", or the format of a library's own file, or "custom" for Python source.
        custom_root: Folder of the operator's modules; None unless custom code is allowed.
        ensemble_method: What a pickle of several estimators is to be.

    Raises:
        UnsafeModelError, ModelLoadError, MissingDependencyError: See the adapters.
    """
    with quiet():
        if kind == "xgboost":
            return xgboost.serve(xgboost.open_file(path))
        if kind == "lightgbm":
            return lightgbm.serve(lightgbm.open_file(path))
        if kind == "custom":
            return custom.serve(custom.open_file(path, custom_root))
        model = safe_pickle.load(path, Policy(custom_root))
        if isinstance(model, (list, tuple, dict)) and model:
            return estimators.serve(model, ensemble_method)
        return serve_object(model, custom_root)


def serve_object(model: Any, custom_root: Path | None = None) -> Served:
    """The adapter for an object that came out of a pickle, by the package of its class."""
    package = type(model).__module__.partition(".")[0]
    if package == "sklearn":
        return sklearn.serve(model)
    if package == "xgboost":
        return xgboost.serve(model)
    if package == "lightgbm":
        return lightgbm.serve(model)
    if custom_root is not None and package not in ("builtins", "numpy", "collections"):
        return custom.serve(model)
    raise ModelLoadError(
        f"the file holds a {type(model).__name__}, not a fitted model: save the estimator itself"
    )
