"""Streams: requests in sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from slipstream.http.schemas.multi_batch import EntryError
from slipstream.http.schemas.values import Data, Predictions, Priority, Probabilities, one_of


class StartRequest(msgspec.Struct):
    """POST stream/start."""

    stream_id: str | None = None
    model_id: str | None = None
    buffer_size: int = 100
    batch_timeout_ms: float | None = None

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "stream_id": "ward-7",
        "model_id": "iris",
        "buffer_size": 100,
        "batch_timeout_ms": 50,
    }


class StartAnswer(msgspec.Struct):
    """POST stream/start."""

    stream_id: str
    status: Literal["open"]
    model_id: str
    buffer_size: int
    batch_timeout_ms: float


class SendRequest(msgspec.Struct, gc=False):
    """POST stream/{stream_id}/send. ``data`` stays as it came."""

    data: Data
    sequence_id: int
    return_probabilities: bool | None = None
    timeout_ms: float | None = None
    priority: Priority | None = None

    EXAMPLE: ClassVar[dict[str, Any]] = {"data": [[5.1, 3.5, 1.4, 0.2]], "sequence_id": 1}


class SendAnswer(msgspec.Struct, gc=False):
    """POST stream/{stream_id}/send, the same for a send that was accepted before."""

    stream_id: str
    sequence_id: int
    status: Literal["accepted"]
    queued: int


class ResultsQuery(msgspec.Struct):
    """The query string of GET stream/{stream_id}/results."""

    after: int | None = None
    wait_ms: float = 0.0


class StreamResult(msgspec.Struct, gc=False):
    """One result of a stream. The arrays are JSON already."""

    sequence_id: int
    predictions: Predictions
    probabilities: Probabilities | UnsetType
    model_id: str
    inference_time: float
    status: Literal["success"]
    variant: str | UnsetType = UNSET
    """The model that answered, where the stream is of an experiment."""


class StreamFailure(msgspec.Struct):
    """A result of a stream that is none."""

    sequence_id: int
    model_id: str
    status: Literal["error"]
    error: EntryError


if TYPE_CHECKING:
    Result: TypeAlias = StreamResult | StreamFailure
else:
    Result = one_of("StreamResult", "StreamFailure")


class ResultsAnswer(msgspec.Struct):
    """GET stream/{stream_id}/results."""

    stream_id: str
    results: list[Result]
    pending: int


class CloseAnswer(msgspec.Struct):
    """DELETE stream/{stream_id}."""

    message: str
    stream_id: str
    received: int
    delivered: int
    discarded: int


class EndEvent(msgspec.Struct):
    """The last event of a stream that was closed."""

    stream_id: str
    received: int
    delivered: int
    discarded: int
