"""POST /predict: one input or several, of any model."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from slipstream.http.schemas.values import Inputs, Level, ModelName, PredictedResult, TimeoutS


class CorePredictRequest(msgspec.Struct, gc=False):
    """``inputs`` stays as it came."""

    model_name: ModelName
    """The id of a model that is loaded, or of an experiment."""
    inputs: Inputs
    token: str | None = None
    """Who asks, where no header says it."""
    priority: Level = 0
    """0 to 10; higher ones go first."""
    timeout: TimeoutS | None = None
    """Seconds; the default is that of the server (`DEFAULT_TIMEOUT_MS`)."""
    enable_batching: bool = True
    """Whether executions may hold rows of other requests, too."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "model_name": "example",
        "inputs": [[1, 2, 3], [4, 5, 6]],
        "priority": 1,
        "timeout": 30.0,
    }


class AnsweringModel(msgspec.Struct, gc=False):
    """Who answered, and how."""

    model: str
    """As the request calls it."""
    device: str
    """``cpu``, ``cuda:0``."""
    input_type: Literal["single", "batch"]
    input_count: int
    """Rows."""
    processing_path: Literal["inline", "queued", "batched", "remembered"]
    """At once on the thread that took the request; by a worker of the model; by one, together with
    other requests; not at all, since the answer to the same rows was remembered."""
    variant: str | UnsetType = UNSET
    """The model that answered, where an experiment was asked."""


class BatchInfo(msgspec.Struct, gc=False):
    """Whether rows of several requests were answered together."""

    inflight_batching_enabled: bool
    """Whether this request could have shared an execution."""
    processed_as_batch: bool
    """Whether it did: its execution held rows of other requests."""
    concurrent_optimization: bool
    """Whether the model has several instances, which run side by side."""


class CorePredictAnswer(msgspec.Struct, gc=False):
    """POST /predict. The result is JSON already."""

    success: bool
    result: PredictedResult
    processing_time: float
    """Seconds from the head of the request to its answer."""
    model_info: AnsweringModel
    batch_info: BatchInfo
