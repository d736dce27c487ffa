"""Predictions of one model."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from slipstream.http.schemas.values import (
    BatchSize,
    Data,
    Predictions,
    Priority,
    Probabilities,
    RoutingKey,
    TimeoutMs,
)


class PredictOptions(msgspec.Struct, gc=False):
    """POST predict, POST predict/batch, without the rows."""

    model_id: str | None = None
    return_probabilities: bool | None = None
    batch_size: BatchSize | None = None
    timeout_ms: TimeoutMs | None = None
    priority: Priority | None = None
    routing_key: RoutingKey | None = None


class PredictRequest(PredictOptions, gc=False, kw_only=True):
    """The same with them. ``data`` stays as it came."""

    data: Data

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "data": [[5.1, 3.5, 1.4, 0.2], [6.2, None, 4.3, 1.3]],
        "model_id": "iris",
        "return_probabilities": True,
        "priority": "high",
        "timeout_ms": 50,
    }


class PredictAnswer(msgspec.Struct, gc=False):
    """POST predict. The arrays are JSON already."""

    predictions: Predictions
    probabilities: Probabilities | UnsetType
    model_id: str
    inference_time: float
    request_id: str
    timestamp: str
    variant: str | UnsetType = UNSET
    """The model that answered, where an experiment was asked."""


class BatchAnswer(msgspec.Struct, gc=False):
    """POST predict/batch; ``batch_size`` is the number of rows."""

    predictions: Predictions
    probabilities: Probabilities | UnsetType
    model_id: str
    batch_size: int
    total_inference_time: float
    average_inference_time: float
    request_id: str
    timestamp: str
    variant: str | UnsetType = UNSET
    """The model that answered, where an experiment was asked."""
