"""Predictions of several models in one request."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from slipstream.http.schemas.predict import PredictRequest


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

    requests: list[Raw]
    batch_timeout_ms: float | None = None
    priority: str | None = None
    routing_key: str | None = None


class EntryAnswer(msgspec.Struct, gc=False):
    """A result of POST predict/multi-batch. The arrays are JSON already."""

    request_id: str
    predictions: Raw
    probabilities: Raw | UnsetType
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


class MultiBatchAnswer(msgspec.Struct):
    """POST predict/multi-batch, also where entries failed."""

    results: list[EntryAnswer | EntryFailure]
    batch_id: str
    total_requests: int
    successful_requests: int
    failed_requests: int
    total_time: float
