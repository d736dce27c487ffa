"""The adapter for RSGI, Granian's own interface: one coroutine per request on the event loop.

What goes to an express route takes `slipstream.http.front` instead, on Granian's thread. Requests
to it that are not of the plain form (chunked, binary, ``Expect``), that its express declines, or
that find the server full come here.

Threads: `__rsgi__` and `_start_general` on any, the coroutines on the event loop's thread. Granian
reads sockets and speaks HTTP on threads of its own.

A request answered inline costs no timer, task or future of ours. What takes long is looked after
by the `Sweeper`: bodies that do not arrive, and clients that hang up while their request waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Set
from functools import partial
from typing import Any

from slipstream.errors import MalformedInputError, UnavailableError
from slipstream.http.app import App, log
from slipstream.http.front import Front, FrontLoop, OnLoop
from slipstream.http.placement import Placement, threads_of_process
from slipstream.http.rsgi_types import ProtocolClosed, ProtocolError, Scope, Transport
from slipstream.http.streaming import stream
from slipstream.http.sweeper import AnswerWait, BodyWait, SlowWait, Sweeper
from slipstream.http.types import Header, Pending, Request, Response, Streaming

_BODILESS = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))
_LINGER_BYTES = 64 * 1024 * 1024
_LINGER_S = 2.0
_SHORT_BYTES = 64 * 1024
"""A body that is read before its request is refused. Nobody counts it: a connection has one."""


class RsgiAdapter:
    """The application object that Granian calls; one per server."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._debug = app.settings.debug
        self._front: Front | None = None
        self._others: Set[int] = threads_of_process()
        self._tasks: set[asyncio.Task[None]] = set()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by Granian on the loop that will run the requests."""
        self._loop = loop
        self._sweeper = Sweeper(loop, self._app.settings.body_timeout_s)
        limits = self._app.limits
        # Debugging logs, and limits count, every request on the general way.
        is_plain = not (self._debug or limits.of_clients or limits.of_models)
        if isinstance(loop, FrontLoop) and is_plain:
            share_core = self._app.settings.share_core
            placement = Placement(self._app.gate, self._others, is_wanted=share_core)
            self._front = Front(self._app, loop, placement, self._start_general, self._send)

    def end_all(self) -> None:
        """Answers 503 to every request in progress: the server waits no longer. Loop's thread."""
        self._app.gate.close()
        stopping = UnavailableError("The server is shutting down")
        self._sweeper.end_all(stopping)
        if self._front is not None:
            self._front.end_all(stopping)

    def place_threads(self, others: Set[int]) -> None:
        """Takes charge of where Granian's threads run. To be called before they start.

        Args:
            others: The threads that run already.
        """
        self._others = others

    def __rsgi__(self, scope: Scope, proto: Transport) -> Awaitable[None]:
        """Answers one request; done when the answer is on its way."""
        if self._front is None:
            return self._respond(scope, proto)
        return self._front.admit(scope, proto) or OnLoop(self._respond(scope, proto))

    async def _respond(self, scope: Scope, proto: Transport) -> None:
        started = time.perf_counter() if self._debug else 0.0
        app = self._app
        headers = scope.headers
        request = app.admit(scope.method, scope.path, scope.query_string, headers, scope.client)
        if isinstance(request, Response):
            answer = request
            route = request.route
            await self._clear(scope, proto, answer)
        else:
            route = request.route.path
            try:
                answer = await self._answer(request, proto)
            except (ProtocolClosed, ProtocolError):  # a client that has gone gets no answer anyway
                short = MalformedInputError("The body ended before the length announced for it")
                answer = app.refuse(short, request)
                answer.close = True
            except Exception as error:
                answer = app.refuse(error, request)
            finally:
                app.leave(request)
            answer.request_id = request.request_id
        if isinstance(answer, Streaming):
            await stream(proto, _head(scope, answer), answer, self._sweeper)
        else:
            self._send(scope, proto, answer)
        app.traffic.answered(route, answer.status)
        if self._debug:
            elapsed_ms = round((time.perf_counter() - started) * 1e3, 3)
            log.debug(
                "%s %s %d",
                *(scope.method, scope.path, answer.status),
                extra={
                    "request_id": answer.request_id,
                    "method": scope.method,
                    "path": scope.path,
                    "status": answer.status,
                    "duration_ms": elapsed_ms,
                },
            )
        if answer.close and headers.get("expect") is None:
            await _linger(proto)

    async def _clear(self, scope: Scope, proto: Transport, refused: Response) -> None:
        """Has the body of a request that is refused by its head out of the way of the next one.

        A client may be sending it still. Answered now, it could lose the answer, or its next
        request on the connection, to the close of a connection that it thinks is kept.
        """
        announced = scope.headers.get("content-length")
        is_chunked = scope.headers.get("transfer-encoding") is not None
        if announced in (None, "0") and not is_chunked:
            return
        is_short = announced is not None and announced.isdigit() and int(announced) <= _SHORT_BYTES
        if not is_short or scope.headers.get("expect") is not None:
            refused.close = True
        elif not refused.close:
            wait = BodyWait(self._loop.time())
            wait.arriving = arriving = proto()
            self._sweeper.add(wait)
            try:
                await arriving
            except asyncio.CancelledError:
                if wait.error is None:
                    raise
                refused.close = True
            except (ProtocolClosed, ProtocolError):
                refused.close = True
            finally:
                self._sweeper.discard(wait)

    async def _answer(self, request: Request, proto: Transport) -> Response:
        if self._has_body(request):
            try:
                request.body = await self._read(request, proto)
            except (ProtocolClosed, ProtocolError):
                raise
            except Exception as error:
                answer = self._app.refuse(error, request)
                answer.close = True  # the rest of it may be on its way
                return answer
        if request.route.slow:
            return await self._run_slowly(request)
        return await self._run(request, proto)

    async def _run(self, request: Request, proto: Transport) -> Response:
        answer = self._app.run(request)
        if isinstance(answer, Pending):
            if not answer.holds_place:
                self._app.leave(request)
            return answer.answer or await self._wait(answer, proto)
        return answer

    def _start_general(
        self, request: Request, proto: Transport, answer: Callable[[Response], None]
    ) -> None:
        """Answers a request that its express declined; its place is the exchange's to give back."""

        async def run() -> None:
            try:
                answered = await self._run(request, proto)
            except Exception as error:
                answered = self._app.refuse(error, request)
            answer(answered)

        self._loop.call_soon_threadsafe(self._begin, run)

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self._loop.create_task(work())
        self._tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    async def _run_slowly(self, request: Request) -> Response:
        work = self._app.slow_lane.submit(partial(self._app.call, request))
        wait = SlowWait(self._loop)
        work.add_done_callback(wait.done)
        self._sweeper.add(wait)
        try:
            return await wait.arrived
        finally:
            self._sweeper.discard(wait)

    @staticmethod
    def _has_body(request: Request) -> bool:
        if request.content_length >= 0:
            return request.content_length > 0
        if request.method not in _BODILESS:
            return True
        return request.headers.get("transfer-encoding") is not None

    async def _read(self, request: Request, proto: Transport) -> bytes:
        """The whole body, within its time and size."""
        wait = BodyWait(self._loop.time())
        self._sweeper.add(wait)
        try:
            if request.content_length >= 0:
                wait.arriving = arriving = proto()
                return await arriving  # Granian holds the client to that length
            return await self._read_chunks(request, proto.__aiter__(), wait)
        except asyncio.CancelledError:
            if wait.error is None:
                raise
            raise wait.error from None
        finally:
            self._sweeper.discard(wait)

    async def _read_chunks(self, request: Request, stream: Transport, wait: BodyWait) -> bytes:
        """A body of unknown length, counted as it comes."""
        chunks: list[bytes] = []
        while True:
            try:
                wait.arriving = arriving = stream.__anext__()
                chunk = await arriving
            except StopAsyncIteration:
                return b"".join(chunks)
            self._app.reserve(request, len(chunk))
            chunks.append(chunk)

    async def _wait(self, pending: Pending, proto: Transport) -> Response:
        wait = AnswerWait(self._loop, proto, pending)
        self._sweeper.add(wait)
        try:
            return await wait.arrived
        except asyncio.CancelledError:
            pending.cancel()
            raise
        finally:
            self._sweeper.discard(wait)
            wait.stop()

    def _send(self, scope: Scope, proto: Transport, answer: Response) -> None:
        proto.response_bytes(answer.status, _head(scope, answer), answer.body)


def _head(scope: Scope, answer: Response) -> list[Header]:
    headers = [
        ("content-type", answer.content_type),
        ("x-request-id", answer.request_id),
        *answer.headers,
    ]
    if answer.close and scope.http_version.startswith("1"):
        headers.append(("connection", "close"))
    return headers


async def _linger(proto: Transport) -> None:
    """Reads on for a moment: a socket closed on unread data would lose the answer."""
    budget = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_S):
            with contextlib.suppress(ProtocolError):  # being read already: go on from there
                proto.__aiter__()
            while budget > 0:
                budget -= len(await proto.__anext__())
    except (TimeoutError, StopAsyncIteration, ProtocolClosed, ProtocolError):
        return
