"""Predictions of one model."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

RoutingKey = Annotated[str, Meta(max_length=1024)]


class PredictOptions(msgspec.Struct, gc=False):
    """POST predict, POST predict/batch, without the rows."""

    model_id: str | None = None
    return_probabilities: bool | None = None
    batch_size: int | None = None
    timeout_ms: float | None = None
    priority: str | None = None
    routing_key: RoutingKey | None = None


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
    variant: str | UnsetType = UNSET
    """The model that answered, where an experiment was asked."""


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
    variant: str | UnsetType = UNSET
    """The model that answered, where an experiment was asked."""
