"""The adapter for RSGI, Granian's own interface: one coroutine per request on the event loop.

Threads: everything here runs on the event loop's thread. Granian reads sockets and speaks HTTP on
threads of its own.

A request answered inline costs no timer, task or future of ours. What takes long is looked after
by the `Sweeper`: bodies that do not arrive, and clients that hang up while their request waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial

from slipstream.errors import MalformedInputError, UnavailableError
from slipstream.http.app import App, log
from slipstream.http.rsgi_types import ProtocolClosed, ProtocolError, Scope, Transport
from slipstream.http.sweeper import AnswerWait, BodyWait, SlowWait, Sweeper
from slipstream.http.types import Pending, Request, Response

_BODILESS = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))
_LINGER_BYTES = 64 * 1024 * 1024
_LINGER_S = 2.0


class RsgiAdapter:
    """The application object that Granian calls; one per server."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._debug = app.settings.debug

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by Granian on the loop that will run the requests."""
        self._loop = loop
        self._sweeper = Sweeper(loop, self._app.settings.body_timeout_s)

    def end_all(self) -> None:
        """Answers 503 to every request in progress: the server waits no longer. Loop's thread."""
        self._app.gate.close()
        self._sweeper.end_all(UnavailableError("The server is shutting down"))

    async def __rsgi__(self, scope: Scope, proto: Transport) -> None:
        """Answers one request."""
        started = time.perf_counter() if self._debug else 0.0
        app = self._app
        headers = scope.headers
        request = app.admit(scope.method, scope.path, scope.query_string, headers)
        if isinstance(request, Response):
            answer = request
        else:
            try:
                answer = await self._answer(request, proto)
            except ProtocolClosed:
                return  # the client is gone
            except ProtocolError:
                short = MalformedInputError("The body ended before the length announced for it")
                answer = app.refuse(short, request.request_id)
                answer.close = True
            except Exception as error:
                answer = app.refuse(error, request.request_id)
            finally:
                app.leave(request)
            answer.request_id = request.request_id
        self._send(scope, proto, answer)
        if self._debug:
            elapsed_ms = (time.perf_counter() - started) * 1e3
            log.info(
                "%s %s %d %.3f ms %s",
                *(scope.method, scope.path, answer.status, elapsed_ms, answer.request_id),
            )
        if answer.close and headers.get("expect") is None:
            await self._linger(proto)

    async def _answer(self, request: Request, proto: Transport) -> Response:
        if self._has_body(request):
            request.body = await self._read(request, proto)
        app = self._app
        if request.route.slow:
            return await self._run_slowly(request)
        answer = app.run(request)
        if isinstance(answer, Pending):
            return answer.answer or await self._wait(answer, proto)
        return answer

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
        headers = [
            ("content-type", answer.content_type),
            ("x-request-id", answer.request_id),
            *answer.headers,
        ]
        if answer.close and scope.http_version.startswith("1"):
            headers.append(("connection", "close"))
        proto.response_bytes(answer.status, headers, answer.body)

    async def _linger(self, proto: Transport) -> None:
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
