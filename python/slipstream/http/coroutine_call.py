"""An answer that a coroutine works on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from slipstream.errors import RequestCancelledError
from slipstream.http.clock import Clock
from slipstream.http.failures import error_response
from slipstream.http.types import Pending, Request, Response


class CoroutineCall(Pending):
    """For routes that wait for several things, one after the other. Made on the event loop.

    A client that hangs up cancels the coroutine.
    """

    __slots__ = ("_clock", "_request", "_task")

    def __init__(self, work: Coroutine[Any, Any, Response], request: Request, clock: Clock) -> None:
        super().__init__()
        self._request = request
        self._clock = clock
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Response]) -> None:
        error: BaseException | None
        if task.cancelled():
            error = RequestCancelledError("The request was withdrawn")
        else:
            error = task.exception()
        if error is None:
            self.resolve(task.result())
        elif isinstance(error, Exception):
            self.resolve(error_response(error, self._request, self._clock))
        else:
            raise error

    def cancel(self) -> None:
        """Cancels the coroutine; nobody waits any more."""
        self._task.cancel()
