"""Where requests enter: those for express routes are answered on the thread that brings them.

Granian parses HTTP on a thread of its own and enters Python on another, by calling the event loop's
``call_soon_threadsafe``: once for a request's head, once when its body is there. Normally each of
these wakes the loop's thread, and a wake-up costs more than a small model. So `_engine.Front` takes
that method's place on a `FrontLoop`: what concerns an express request goes on there and then,
everything else takes the usual way to the loop. docs/decisions/004 has the figures of this and of
other arrangements.

This module is the rare part: refusals, bodies that do not come, clients that hang up, requests that
the express declines.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

import uvloop

from slipstream.engine.runtime import CoreFront, Exchange, shorten_turns
from slipstream.errors import MalformedInputError
from slipstream.http.app import App
from slipstream.http.errors import STATUS
from slipstream.http.failures import log_failure
from slipstream.http.placement import Placement
from slipstream.http.rsgi_types import ProtocolClosed, ProtocolError, Scope, Transport
from slipstream.http.sweeper import body_timeout
from slipstream.http.types import Request, Response

_PERIOD_S = 0.05
_TURN_MS = 0.1
"""What an HTTP thread does at a time is shorter. So the kernel may put it before threads that
compute for long, on a core that they share, as soon as it wakes."""


class FrontLoop(uvloop.Loop):
    """An event loop whose ``call_soon_threadsafe`` can be replaced, by `Front`."""


class OnLoop:
    """Awaiting it runs ``work`` from the second step on: the first one ends before it begins.

    So the front can look at what a request awaits, and leave the rest to a task of the loop.
    """

    __slots__ = ("_work",)

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, None]:
        yield
        yield from self._work.__await__()


class General(Protocol):
    """Answers any request whose body is there, by its route's handler, on the event loop."""

    def __call__(
        self, request: Request, proto: Transport, answer: Callable[[Response], None]
    ) -> None:
        """Starts that; ``answer`` is called once, on the loop's thread. Any thread."""


class Front:
    """The express ways of one server.

    Args:
        app: Its routes that have an express are served.
        loop: Gives up its ``call_soon_threadsafe``.
        placement: Is stirred with the front.
        general: For requests that an express declines.
        send: Sends an answer as it is; any thread.
    """

    def __init__(
        self,
        app: App,
        loop: FrontLoop,
        placement: Placement,
        general: General,
        send: Callable[[Scope, Transport, Response], None],
    ) -> None:
        self._app = app
        self._loop = loop
        self._placement = placement
        self._general = general
        self._send = send
        self._body_timeout_s = app.settings.body_timeout_s
        self._gate = app.gate
        self._watchers: dict[Exchange, asyncio.Task[None]] = {}
        self._next_look: asyncio.TimerHandle | None = None
        self._core = CoreFront(
            hooks=self,
            pass_on=loop.call_soon_threadsafe,
            gate=app.gate.core,
            keys=app.access if app.access.required else None,
            max_body_bytes=app.settings.max_body_bytes,
            process_id=secrets.token_hex(4),
            statuses={kind.__name__: status for kind, status in STATUS},
        )
        for route in app.routes:
            if route.express is not None:
                if app.access.asks(route) and (route.scope != "predict" or route.protected):
                    raise ValueError(f"{route.path}: express routes have scope 'predict'")
                self._core.add_route(route, route.path, route.id_prefix, route.express)
                loop.add_reader(route.express.fileno(), self._core.drain, route.express)
        app.traffic.express = self._core.answers
        self.admit = self._core.admit
        """The exchange of a request, from its scope and transport; None for the general way."""
        shorten_turns(threading.get_native_id(), _TURN_MS)
        loop.call_soon_threadsafe = self._core.call_soon  # type: ignore[method-assign]

    def stir(self) -> None:
        """A request has come after a pause. Any thread."""
        self._loop.call_soon_threadsafe(self._begin_looking)

    def _begin_looking(self) -> None:
        for thread in self._placement.begin():
            shorten_turns(thread, _TURN_MS)
        self._look_later()

    def _look_later(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = self._loop.call_later(_PERIOD_S, self._look)

    def _look(self) -> None:
        """Looks after exchanges that take long; those that do not pay nothing for it."""
        is_calm = self._placement.look()
        for exchange, watcher in list(self._watchers.items()):
            if exchange.is_over:
                watcher.cancel()
                del self._watchers[exchange]
        for exchange in self._core.older_than(_PERIOD_S):
            if exchange.is_reading:
                if exchange.age_s >= self._body_timeout_s:
                    exchange.give_up(body_timeout(self._body_timeout_s))
            elif exchange.tag and exchange not in self._watchers:
                self._watchers[exchange] = self._loop.create_task(self._watch(exchange))
        self._next_look = None
        if not is_calm or self._watchers:
            self._look_later()
            return
        self._core.is_stirred = False  # until the next request
        # Those in progress, however young, and those that came before that line: nobody else
        # would look at them when they are old.
        if self._gate.active and not self._core.is_stirred:
            self._core.is_stirred = True
            self._look_later()

    @staticmethod
    async def _watch(exchange: Exchange) -> None:
        """Withdraws a request whose client hangs up."""
        await exchange.proto.client_disconnect()
        exchange.express.cancel(exchange.tag)

    def end_all(self, error: Exception) -> None:
        """Answers ``error`` to every request in progress, also while a backend is busy with it."""
        for exchange in self._core.older_than(0.0):
            if exchange.is_reading:
                exchange.give_up(error)
            elif exchange.tag:
                exchange.express.cancel(exchange.tag)
                self.refuse(exchange, error)

    def general(self, exchange: Exchange, body: bytes) -> None:
        """Answers a request that its express declined."""
        scope = exchange.scope
        request = Request(
            *(scope.method, scope.path, scope.query_string, exchange.headers, {}),
            request_id=exchange.request_id,
            route=exchange.route,
            content_length=len(body),
            body=body,
        )
        self._general(request, exchange.proto, lambda answer: self._answer(exchange, answer))

    def refuse(self, exchange: Exchange, error: Exception) -> None:
        """Answers with an error."""
        self._answer(exchange, self._app.refuse_express(error, exchange.request_id))

    @staticmethod
    def failed(request_id: str, status: int, error: str, message: str, not_logged: int) -> None:
        """A request was answered with a failure; some before it were not told."""
        log_failure(request_id, status, error, message, not_logged)

    def lost(self, exchange: Exchange, error: Exception) -> None:
        """The body will not come."""
        if isinstance(error, ProtocolClosed | ProtocolError):  # of one that has gone, nobody reads
            error = MalformedInputError("The body ended before the length announced for it")
        answer = self._app.refuse_express(exchange.given_up or error, exchange.request_id)
        answer.close = True
        self._answer(exchange, answer)

    def _answer(self, exchange: Exchange, answer: Response) -> None:
        if exchange.close():  # only the first answer counts
            answer.request_id = exchange.request_id
            self._send(exchange.scope, exchange.proto, answer)
            self._app.traffic.answered(exchange.route.path, answer.status)
            exchange.finish()
