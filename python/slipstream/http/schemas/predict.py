"""Predictions of one model."""

from __future__ import annotations

import msgspec
from msgspec import Raw, UnsetType


class PredictOptions(msgspec.Struct, gc=False):
    """POST predict, POST predict/batch, without the rows."""

    model_id: str | None = None
    return_probabilities: bool | None = None
    batch_size: int | None = None
    timeout_ms: float | None = None
    priority: str | None = None


class PredictRequest(PredictOptions, gc=False, kw_only=True):
    """The same with them. ``data`` stays as it came."""

    data: Raw


class PredictAnswer(msgspec.Struct, gc=False):
    """POST predict. The arrays are JSON already."""

    predictions: Raw
    probabilities: Raw | UnsetType
    model_id: str
    inference_time: float
    request_id: str
    timestamp: str


class BatchAnswer(msgspec.Struct, gc=False):
    """POST predict/batch; ``batch_size`` is the number of rows."""

    predictions: Raw
    probabilities: Raw | UnsetType
    model_id: str
    batch_size: int
    total_inference_time: float
    average_inference_time: float
    request_id: str
    timestamp: str
