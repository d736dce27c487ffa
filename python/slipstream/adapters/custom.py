"""Custom models: a Python class with ``predict`` and optionally ``predict_proba``.

It is the operator's own code and runs with all rights of the server's user, so it is admitted only
by configuration (``ALLOW_CUSTOM_CODE``), only from his model directory, and only in a child.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.adapters.base import Array, Served
from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Task

_LARGEST_SOURCE_BYTES = 4 << 20
_MODULE_NAME = "slipstream_custom_model"


def has_entry(source: bytes) -> bool:
    """Whether Python source assigns ``ENTRY`` at its top level; found without running it."""
    if len(source) > _LARGEST_SOURCE_BYTES:
        return False
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(_assigns_entry(node) for node in tree.body)


def _assigns_entry(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    else:
        return False
    return any(isinstance(target, ast.Name) and target.id == "ENTRY" for target in targets)


def import_from(module: str, root: Path) -> Any:
    """Import ``module`` from the operator's folder. Only ever called in a child process."""
    _find_modules_in(root)
    try:
        return importlib.import_module(module)
    except Exception as error:  # the operator's code may raise anything; it must not end the child
        raise ModelLoadError(
            f"the custom module {module} cannot be imported ({type(error).__name__}: {error})"
        ) from error


def open_file(path: Path, root: Path | None) -> Any:
    """An instance of the ``ENTRY`` of a Python file. Only ever called in a child process.

    Args:
        path: The file (a copy of the original).
        root: The folder of the original, where the modules lie that it imports.
    """
    if root is not None:
        _find_modules_in(root)
    # The loader is named because the copy that the converter is given has no ".py" to tell it.
    loader = importlib.machinery.SourceFileLoader(_MODULE_NAME, str(path))
    spec = importlib.util.spec_from_file_location(_MODULE_NAME, path, loader=loader)
    if spec is None or spec.loader is None:
        raise ModelLoadError(f"{path.name} cannot be imported as Python source")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE_NAME] = module
    try:
        spec.loader.exec_module(module)
        entry = module.ENTRY
        return entry() if isinstance(entry, type) else entry
    except Exception as error:  # as above
        raise ModelLoadError(
            f"the custom model cannot be made ({type(error).__name__}: {error})"
        ) from error


def _find_modules_in(root: Path) -> None:
    if str(root) not in sys.path:
        sys.path.append(str(root))


def serve(model: Any) -> Served:
    """An instance of a custom class behind the common face."""
    if not callable(getattr(model, "predict", None)):
        raise ModelLoadError(f"the custom class {type(model).__name__} has no predict() method")
    classes = getattr(model, "classes_", None)
    width = getattr(model, "n_features_in_", None)
    task: Task = "regression"
    if classes is not None or hasattr(model, "predict_proba"):
        task = "classification"
    return Served(
        library="custom",
        framework=f"python {sys.version_info.major}.{sys.version_info.minor}",
        estimator=model,
        task=task,
        width=int(width) if isinstance(width, (int, np.integer)) else None,
        predict=lambda rows: np.asarray(model.predict(rows)),
        predict_proba=_probabilities(model),
        classes=(np.asarray(classes),) if classes is not None else (),
        batchable=bool(getattr(model, "batchable", False)),
        reason="custom Python code runs as it is",
    )


def _probabilities(model: Any) -> Any:
    if not callable(getattr(model, "predict_proba", None)):
        return None

    def predict_proba(rows: Any) -> list[Array]:
        return [np.asarray(model.predict_proba(rows))]

    return predict_proba
