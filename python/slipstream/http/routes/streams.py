"""Streams: started, sent to, read, closed."""

from __future__ import annotations

from slipstream.errors import InvalidInputError, StreamNotFoundError
from slipstream.http import sse
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.queries import Query, waiting_ms
from slipstream.http.routes import stream_events
from slipstream.http.routes.context import Context
from slipstream.http.routes.options import MAX_TIMEOUT_MS, level, timeout_ms
from slipstream.http.routes.stream_events import MOST_RESULTS, ResultsCall, results_answer
from slipstream.http.schemas.streams import (
    CloseAnswer,
    ResultsQuery,
    SendAnswer,
    SendRequest,
    StartAnswer,
    StartRequest,
)
from slipstream.http.types import Pending, Request, Response, Streaming
from slipstream.streams.sequence import Counts
from slipstream.streams.stream import Stream, Work

MOST_WAIT_MS = 60_000.0
"""A longer ``wait_ms`` is taken as this one."""

_read_start = JsonBody(StartRequest)
_read_send = JsonBody(SendRequest)
_read_query = Query(ResultsQuery)


def start(context: Context, request: Request) -> Response:
    """POST stream/start."""
    wanted = _read_start(request)
    most_ms = wanted.batch_timeout_ms
    if most_ms is None:
        most_ms = context.settings.batch_timeout_ms
    if not most_ms >= 0:
        raise InvalidInputError(
            f"'batch_timeout_ms' is not valid: {most_ms:g}; it is a number of milliseconds, "
            "0 or more",
            key="batch_timeout_ms",
        )
    stream = context.streams.start(wanted.stream_id, wanted.model_id, wanted.buffer_size)
    return json_response(
        StartAnswer(
            stream.stream_id,
            "open",
            stream.model_id,
            stream.buffer_size,
            min(most_ms, MAX_TIMEOUT_MS),
        )
    )


def send(context: Context, request: Request) -> Response:
    """POST stream/{stream_id}/send."""
    stream = context.streams.get(request.params["stream_id"])
    wanted = _read_send(request)
    work = Work(
        bytes(wanted.data),
        bool(wanted.return_probabilities),
        level(wanted.priority),
        timeout_ms(wanted.timeout_ms, context.default_timeout_ms(stream.model_id)),
    )
    if stream.knows(wanted.sequence_id):  # sent again: it is acknowledged again, and costs nothing
        stream.send(wanted.sequence_id, work)
    else:
        with context.limits.accepting(stream.model_id):
            stream.send(wanted.sequence_id, work)
    return json_response(
        SendAnswer(stream.stream_id, wanted.sequence_id, "accepted", stream.queued)
    )


def results(context: Context, request: Request) -> Response | Pending:
    """GET stream/{stream_id}/results."""
    stream = context.streams.get(request.params["stream_id"])
    asked = _read_query(request)
    wait_ms = waiting_ms(asked.wait_ms, MOST_WAIT_MS)
    if request.method == "HEAD":  # looks, and takes nothing
        return results_answer(stream, stream.peek(asked.after, MOST_RESULTS), request.request_id)
    if sse.is_wanted(request):
        return _events(context, request, stream, asked.after)
    found = stream.take(asked.after, MOST_RESULTS)
    if found or wait_ms == 0:
        return results_answer(stream, found, request.request_id)
    return ResultsCall(context, stream, asked.after, request, wait_ms / 1000)


def _events(context: Context, request: Request, stream: Stream, after: int | None) -> Response:
    seen = sse.last_event_id(request)
    after = after if seen is None else seen
    stream.peek(after, 1)  # what is wrong with it is told while there is a status to tell it by
    heartbeat_s = context.settings.stream_heartbeat_s
    return Streaming(
        200,
        b"",
        sse.HEADERS,
        sse.CONTENT_TYPE,
        pieces=stream_events.events(stream, after, request.request_id, heartbeat_s),
    )


class CloseCall(Pending):
    """A stream on its way to its end."""

    holds_place = False

    def __init__(self, context: Context, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        stream.on_over.append(self._over)
        context.streams.close_stream(stream)

    def _over(self, counts: Counts) -> None:
        self.resolve(
            json_response(
                CloseAnswer("Stream closed successfully", self._stream.stream_id, *counts)
            )
        )


def close(context: Context, request: Request) -> Response | Pending:
    """DELETE stream/{stream_id}: what was accepted runs first."""
    stream = context.streams.get(request.params["stream_id"])
    if stream.is_closing:
        raise StreamNotFoundError(
            f"Stream '{stream.stream_id}' is being closed already", stream_id=stream.stream_id
        )
    return CloseCall(context, stream)
