"""Predictions of several models in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from slipstream.http.schemas.predict import PredictRequest
from slipstream.http.schemas.values import (
    Predictions,
    Priority,
    Probabilities,
    RawEntry,
    TimeoutMs,
    one_of,
)


class EntryId(msgspec.Struct, gc=False):
    """An entry of POST predict/multi-batch, as far as a failure repeats it."""

    request_id: str | None = None
    model_id: str | None = None


class EntryWeight(msgspec.Struct, gc=False):
    """An entry of POST predict/multi-batch, when variants are drawn."""

    weight: float | None = None


class MultiBatchEntry(PredictRequest, gc=False, kw_only=True):
    """One entry: a prediction with a name of its own."""

    request_id: str | None = None
    weight: float | None = None


class MultiBatchRequest(msgspec.Struct):
    """POST predict/multi-batch. Entries are read one by one: each may be wrong by itself."""

    requests: list[RawEntry]
    batch_timeout_ms: TimeoutMs | None = None
    priority: Priority | None = None
    routing_key: str | None = None

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "requests": [
            {"request_id": "a", "model_id": "iris", "data": [[5.1, 3.5, 1.4, 0.2]]},
            {"request_id": "b", "model_id": "diabetes", "data": [[0.04, 0.05, 0.06]]},
        ],
        "batch_timeout_ms": 1000,
    }


class EntryAnswer(msgspec.Struct, gc=False):
    """A result of POST predict/multi-batch. The arrays are JSON already."""

    request_id: str
    predictions: Predictions
    probabilities: Probabilities | UnsetType
    model_id: str
    inference_time: float
    status: Literal["success"]
    variant: str | UnsetType = UNSET
    """The request_id of the entry, where it was drawn; else the model that an experiment drew."""


class EntryError(msgspec.Struct):
    """What is wrong with one entry."""

    error: str
    message: str
    details: dict[str, Any]


class EntryFailure(msgspec.Struct):
    """A result of POST predict/multi-batch that is none."""

    request_id: str
    model_id: str | None
    status: Literal["error"]
    error: EntryError
    variant: str | UnsetType = UNSET


if TYPE_CHECKING:
    Entry: TypeAlias = EntryAnswer | EntryFailure
else:
    Entry = one_of("EntryAnswer", "EntryFailure")


class MultiBatchAnswer(msgspec.Struct):
    """POST predict/multi-batch, also where entries failed."""

    results: list[Entry]
    batch_id: str
    total_requests: int
    successful_requests: int
    failed_requests: int
    total_time: float
