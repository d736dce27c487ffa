"""Async predictions."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from slipstream.http.schemas.predict import PredictOptions
from slipstream.http.schemas.values import Data, Predictions, Probabilities, RawError, RawResult


class AsyncOptions(PredictOptions, gc=False):
    """POST predict/async, without the rows."""

    callback_url: str | None = None


class AsyncRequest(AsyncOptions, gc=False, kw_only=True):
    """The same with them. ``data`` stays as it came."""

    data: Data

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "data": [[5.1, 3.5, 1.4, 0.2]],
        "model_id": "iris",
        "callback_url": "https://your-app.com/callback",
        "priority": "high",
    }


class AsyncAccepted(msgspec.Struct, gc=False):
    """POST predict/async."""

    task_id: str
    status: Literal["queued"]
    estimated_completion: str | None
    queue_position: int


class CallbackState(msgspec.Struct, gc=False):
    """How far telling the ``callback_url`` has come."""

    url: str
    status: str
    attempts: int
    next_attempt_at: str | None
    last_status_code: int | None
    last_error: str | None


class TaskResult(msgspec.Struct, gc=False):
    """``result`` of a task that has completed."""

    predictions: Predictions
    probabilities: Probabilities | UnsetType
    model_id: str
    inference_time: float
    variant: str | UnsetType = UNSET
    """The model that answered, where an experiment was asked."""


TaskStatus = Literal["queued", "running", "completed", "failed", "cancelled", "expired"]


class TaskAnswer(msgspec.Struct, gc=False):
    """GET and DELETE predict/async/{task_id}, and what a ``callback_url`` receives."""

    task_id: str
    status: TaskStatus
    result: RawResult
    completed_at: str | None
    error: RawError
    model_id: str
    submitted_at: str
    started_at: str | None
    queue_position: int | None
    estimated_completion: str | None
    callback: CallbackState | None


class TaskQuery(msgspec.Struct):
    """The query string of GET predict/async/{task_id}."""

    wait_ms: float = 0.0
