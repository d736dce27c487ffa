"""An answer that a lane's thread works on, while the event loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

from slipstream.errors import UnavailableError
from slipstream.http.clock import Clock
from slipstream.http.failures import error_response
from slipstream.http.slow import Lane
from slipstream.http.types import Pending, Request, Response


class LaneCall(Pending):
    """For routes that check a request at once, and then take long. Made on the event loop.

    A client that hangs up does not end the work: what was asked for happens.
    """

    __slots__ = ("_clock", "_loop", "_request")

    def __init__(
        self, lane: Lane, work: Callable[[], Response], request: Request, clock: Clock
    ) -> None:
        """Starts it.

        Raises:
            OverloadedError: the lane is full.
        """
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._clock = clock
        lane.submit(work).add_done_callback(self._done)

    def _done(self, work: Future[Response]) -> None:
        """Called on the thread that did the work."""
        try:
            self._loop.call_soon_threadsafe(self._deliver, work)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _deliver(self, work: Future[Response]) -> None:
        if work.cancelled():
            error: BaseException | None = UnavailableError("The server is shutting down")
        else:
            error = work.exception()
        if isinstance(error, Exception):
            self.resolve(error_response(error, self._request, self._clock))
        elif error is None:
            self.resolve(work.result())
        else:
            raise error
