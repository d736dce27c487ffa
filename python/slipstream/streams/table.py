"""All streams of a server: their names, how many there may be, and the end of those left alone."""

from __future__ import annotations

import asyncio
import secrets

from slipstream.errors import (
    InvalidInputError,
    StreamExistsError,
    StreamFullError,
    StreamNotFoundError,
    UnavailableError,
)
from slipstream.ids import require_id
from slipstream.settings import Settings
from slipstream.streams.stream import Budget, FindModel, Stream

MOST_BUFFERED = 10_000
"""Largest ``buffer_size``."""
_SHORTEST_LOOK_S, _LONGEST_LOOK_S = 0.05, 5.0


class StreamTable:
    """See the module docstring; everything on the event loop's thread.

    Args:
        find_model: Gives the model of an id, or the only one; raises what `start` says.
        settings: How many streams, how long one may be idle, how much they may hold.
    """

    def __init__(self, find_model: FindModel, settings: Settings) -> None:
        self._find_model = find_model
        self._most = settings.max_streams
        self._idle_timeout_s = settings.stream_idle_timeout_s
        self._drain_timeout_s = settings.drain_timeout_s
        self._budget = Budget(settings.max_stream_bytes)
        self._streams: dict[str, Stream] = {}
        self._next_look: asyncio.TimerHandle | None = None
        self._is_closed = False

    def start(self, stream_id: str | None, model_id: str | None, buffer_size: int) -> Stream:
        """Opens a stream.

        Args:
            stream_id: Its name; None makes one up.
            model_id: Of its requests; None: the only model there is.
            buffer_size: How far sends may be ahead of what is read.

        Raises:
            InvalidInputError: a name or a size that cannot be.
            StreamExistsError: there is a stream of that name.
            StreamFullError: there are as many as may be.
            ModelNotFoundError: no model of that id is loaded.
            AmbiguousModelError: no model was named, and not exactly one is loaded.
            UnavailableError: the server is shutting down.
        """
        if self._is_closed:
            raise UnavailableError("The server is shutting down")
        if stream_id is not None:
            require_id(stream_id, "stream_id")
        if not 1 <= buffer_size <= MOST_BUFFERED:
            raise InvalidInputError(
                f"'buffer_size' is not valid: {buffer_size}; it is a number of results from 1 to "
                f"{MOST_BUFFERED}",
                key="buffer_size",
            )
        model = self._find_model(model_id)
        name = stream_id or f"stream_{secrets.token_hex(8)}"
        self._end_idle()
        if name in self._streams:
            raise StreamExistsError(
                f"Stream '{name}' is open already; close it first, or choose another stream_id",
                stream_id=name,
            )
        if len(self._streams) >= self._most:
            raise StreamFullError(
                f"{self._most} streams are open, as many as may be (MAX_STREAMS); close one",
                max_streams=self._most,
                retry_after_s=1,
            )
        stream = Stream(
            self._find_model, name, model_id or model.model_id, buffer_size, self._budget
        )
        self._streams[name] = stream
        stream.on_over.append(lambda _: self._forget(stream))
        self._look_later()
        return stream

    def get(self, stream_id: str) -> Stream:
        """The stream of that name, also while it drains.

        Raises:
            StreamNotFoundError: there is none, or it was closed, or idle for too long.
        """
        stream = self._streams.get(stream_id)
        if stream is not None and self._is_stale(stream):
            stream.end()
        if stream is None or stream.is_over:
            raise StreamNotFoundError(
                f"Stream with ID '{stream_id}' not found; it may have been closed, or idle for "
                f"over {self._idle_timeout_s:g} s",
                stream_id=stream_id,
            )
        return stream

    def __len__(self) -> int:
        return len(self._streams)

    def close_stream(self, stream: Stream) -> None:
        """Closes one, within the time that the server gives to what is in progress."""
        stream.close(self._drain_timeout_s)

    def close(self) -> None:
        """Opens no more, and closes all."""
        self._is_closed = True
        for stream in list(self._streams.values()):
            self.close_stream(stream)

    def _forget(self, stream: Stream) -> None:
        if self._streams.get(stream.stream_id) is stream:
            del self._streams[stream.stream_id]

    def _is_stale(self, stream: Stream) -> bool:
        age_s = asyncio.get_running_loop().time() - stream.used_at
        return stream.is_idle and age_s >= self._idle_timeout_s

    def _end_idle(self) -> None:
        for stream in list(self._streams.values()):
            if self._is_stale(stream):
                stream.end()

    def _look_later(self) -> None:
        if self._next_look is None:
            period_s = min(max(self._idle_timeout_s / 4, _SHORTEST_LOOK_S), _LONGEST_LOOK_S)
            self._next_look = asyncio.get_running_loop().call_later(period_s, self._look)

    def _look(self) -> None:
        self._next_look = None
        self._end_idle()
        if self._streams:
            self._look_later()
