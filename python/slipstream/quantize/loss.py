"""How much of a model's accuracy a quantization costs: a pure function of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Outputs = Mapping[str, Array]
"""Output name → answers to the same rows."""


def accuracy_loss_percent(before: Outputs, after: Outputs, predictions: str | None) -> float:
    """What ``after`` loses against ``before``, in percent, 0 to 100.

    Classifiers: the share of rows whose label changed. All others: the root mean square of the
    differences over the spread (maximum minus minimum) of the original answers, at most 100.

    Args:
        before: Answers of the original.
        after: Answers of the quantized model, of the same shapes.
        predictions: The output that holds the predictions. None for a bare graph: it counts as a
            classifier if an output has one label (an integer, a truth value, a text) per row, and
            these are judged; else all outputs are, and the worst one decides.
    """
    if predictions is not None:
        judged = [predictions]
    else:
        judged = [name for name in before if _is_label(before[name])] or list(before)
    return max((_loss(before[name], after[name]) for name in judged), default=0.0)


def _is_label(values: Array) -> bool:
    one_a_row = values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)
    return one_a_row and values.dtype.kind in "iubOU"


def _loss(before: Array, after: Array) -> float:
    if before.shape != after.shape:
        return 100.0
    if before.size == 0:
        return 0.0
    if before.dtype.kind != "f":
        changed = (before != after).reshape(len(before), -1) if before.ndim else before != after
        return 100.0 * float(np.mean(changed.any(axis=-1) if before.ndim else changed))
    return 100.0 * min(1.0, _relative_rmse(before.astype(np.float64), after.astype(np.float64)))


def _relative_rmse(before: Array, after: Array) -> float:
    known = np.isfinite(before)
    if not np.array_equal(known, np.isfinite(after)):
        return 1.0
    if not known.any():
        return 0.0 if np.array_equal(before, after, equal_nan=True) else 1.0
    before, after = before[known], after[known]
    error = float(np.sqrt(np.mean(np.square(before - after))))
    if error == 0.0:
        return 0.0
    spread = float(before.max() - before.min()) or float(np.abs(before).max())
    return error / spread if spread > 0 else 1.0
