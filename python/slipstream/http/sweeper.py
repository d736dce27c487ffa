"""Looks after requests that take long, so that those that do not pay nothing for it.

A request that has to wait is entered in an ordered table. Every `_PERIOD_S`, while the table is
not empty, one timer walks over those that are old enough. So a timeout or a hang-up is noticed up
to that much later, and a request that is answered at once costs one dictionary entry. The same
table tells whom to answer when the server cannot wait any longer.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator

from slipstream.errors import UnavailableError
from slipstream.http.errors import BodyTimeoutError
from slipstream.http.rsgi_types import Arriving, Transport
from slipstream.http.types import Pending, Response, Streaming

_PERIOD_S = 0.05


def body_timeout(seconds: float) -> BodyTimeoutError:
    """Why a body was given up."""
    return BodyTimeoutError(
        f"The body did not arrive within {seconds:g} s (BODY_TIMEOUT_S)", body_timeout_s=seconds
    )


async def close_pieces(pieces: AsyncGenerator[bytes]) -> None:
    """Gives back what an answer holds that is not sent."""
    await pieces.aclose()


class Wait(ABC):
    """Something that is waited for since ``started`` (loop time)."""

    __slots__ = ("started",)

    def __init__(self, started: float) -> None:
        self.started = started

    def look(self, age_s: float, body_timeout_s: float) -> None:  # noqa: B027, not all need it
        """Called about every `_PERIOD_S` once older than that."""

    @abstractmethod
    def end(self, error: Exception) -> None:
        """Ends the waiting: who waits gets ``error``."""


class BodyWait(Wait):
    """A body on its way; ``arriving`` is the part awaited now, given up after the timeout."""

    __slots__ = ("arriving", "error")

    def __init__(self, started: float) -> None:
        super().__init__(started)
        self.arriving: Arriving[bytes] | None = None
        self.error: Exception | None = None
        """Why it was given up; set before ``arriving`` is cancelled."""

    def look(self, age_s: float, body_timeout_s: float) -> None:
        """Gives up after ``body_timeout_s``."""
        if age_s >= body_timeout_s:
            self.end(body_timeout(body_timeout_s))

    def end(self, error: Exception) -> None:
        """Stops reading."""
        if self.error is None and self.arriving is not None:
            self.error = error
            self.arriving.cancel()


class SlowWait(Wait):
    """A slow route on its thread; it cannot be stopped, only no longer waited for."""

    __slots__ = ("_loop", "arrived")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop.time())
        self._loop = loop
        self.arrived: asyncio.Future[Response] = loop.create_future()

    def done(self, work: concurrent.futures.Future[Response]) -> None:
        """Called on the thread that did the work."""
        self._loop.call_soon_threadsafe(self._deliver, work)

    def _deliver(self, work: concurrent.futures.Future[Response]) -> None:
        if self.arrived.done():
            return
        if work.cancelled():
            self.end(UnavailableError("The server is shutting down"))
        elif (error := work.exception()) is not None:
            self.arrived.set_exception(error)
        else:
            self.arrived.set_result(work.result())

    def end(self, error: Exception) -> None:
        """Leaves the thread to itself."""
        if not self.arrived.done():
            self.arrived.set_exception(error)


class AnswerWait(Wait):
    """An answer on its way; withdrawn when the client hangs up (HTTP/1 only: see below).

    Granian reports a hang-up once per connection. Over HTTP/2 many requests share one, so only
    one of them would learn of it; the others run to their end or their deadline.
    """

    __slots__ = ("_closing", "_loop", "_pending", "_proto", "_watcher", "arrived")

    def __init__(self, loop: asyncio.AbstractEventLoop, proto: Transport, pending: Pending) -> None:
        super().__init__(loop.time())
        self._loop = loop
        self._proto = proto
        self._pending = pending
        self.arrived: asyncio.Future[Response] = loop.create_future()
        self._closing: asyncio.Task[None] | None = None
        pending.then(self._deliver)
        self._watcher: asyncio.Task[None] | None = None

    def look(self, age_s: float, body_timeout_s: float) -> None:
        """Starts to watch the connection, once."""
        if self._watcher is None:
            self._watcher = self._loop.create_task(self._watch())

    def _deliver(self, answer: Response) -> None:
        if not self.arrived.done():
            self.arrived.set_result(answer)
        elif isinstance(answer, Streaming) and answer.pieces is not None:  # nobody will take them
            self._closing = self._loop.create_task(close_pieces(answer.pieces))

    def end(self, error: Exception) -> None:
        """Answers, also while a backend is busy with the request, and withdraws the work."""
        if not self.arrived.done():
            self.arrived.set_exception(error)
        self._pending.cancel()

    async def _watch(self) -> None:
        await self._proto.client_disconnect()
        self._pending.cancel()

    def stop(self) -> None:
        """Ends the watching, if it began."""
        if self._watcher is not None:
            self._watcher.cancel()


class Sweeper:
    """The table of waits and its one timer. `add` and `discard` on any thread.

    Steps on the table are single operations on a dict, which the GIL makes whole.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, body_timeout_s: float) -> None:
        self._loop = loop
        self._body_timeout_s = body_timeout_s
        self._waits: dict[Wait, None] = {}
        self._armed = False

    def add(self, wait: Wait) -> None:
        """Enters a wait that starts now."""
        self._waits[wait] = None
        if not self._armed:
            self._armed = True
            self._loop.call_soon_threadsafe(self._arm)

    def _arm(self) -> None:
        self._loop.call_later(_PERIOD_S, self._sweep)

    def discard(self, wait: Wait) -> None:
        """Takes a wait out; it is over."""
        self._waits.pop(wait, None)

    def end_all(self, error: Exception) -> None:
        """Ends every wait."""
        for wait in list(self._waits):
            wait.end(error)

    def _sweep(self) -> None:
        now = self._loop.time()
        for wait in list(self._waits):
            age_s = now - wait.started
            if age_s < _PERIOD_S:
                break  # the rest is younger
            wait.look(age_s, self._body_timeout_s)
        # In this order: whoever adds one behind our look finds the timer not armed, and arms it.
        self._armed = False
        if self._waits:
            self._armed = True
            self._arm()
