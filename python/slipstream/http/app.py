"""One request, step by step, without knowing which server carries it.

An adapter calls `App.admit` when the head of a request is there, reads the body, then calls
`App.run` (or hands `App.call` to the slow lane for a slow route), sends the answer, and calls
`App.leave`. None of them raises: every failure is an answer in the documented error format.

Threads: `run` on the event loop's thread; everything else on any.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from slipstream.errors import SlipstreamError
from slipstream.http.auth import ApiKeys
from slipstream.http.clock import Clock, RequestIds
from slipstream.http.errors import BodyTooLargeError
from slipstream.http.failures import error_response, family_of, refusal
from slipstream.http.gate import Gate
from slipstream.http.limits import Limits
from slipstream.http.router import Router
from slipstream.http.slow import SlowLane
from slipstream.http.traffic import Traffic
from slipstream.http.types import Headers, Pending, Request, Response, Route
from slipstream.settings import Settings

log = logging.getLogger("slipstream.http")
_SLOW_THREADS = 2
_SLOW_WAITING = 32
_OPEN_BODY_BYTES = 65536
"""Body limit of open routes: they take no body, and no place in the gate counts them."""


class App:
    """The route table with everything that stands before a route."""

    def __init__(
        self,
        routes: Iterable[Route],
        settings: Settings,
        clock: Clock,
        traffic: Traffic | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.settings = settings
        """Of the start; of those that may change, the gate knows the one in force."""
        self.clock = clock
        self.gate = Gate(settings.max_concurrent_requests, settings.max_inflight_body_bytes)
        self.traffic = traffic or Traffic()
        self.limits = limits or Limits(settings)
        self.slow_lane = SlowLane(_SLOW_THREADS, _SLOW_WAITING)
        self.ids = RequestIds()
        self.routes = tuple(routes)
        self._router = Router(self.routes)
        self.keys = ApiKeys(settings.api_keys) if settings.require_api_key else None
        self._max_body_bytes = settings.max_body_bytes

    def admit(
        self, method: str, path: str, query: str, headers: Headers, peer: str = ""
    ) -> Request | Response:
        """Routes, checks the key and the announced size, and takes a place.

        Returns:
            The request, to be given to `leave` at its end; or at once the answer that refuses it
            (then there is nothing to leave).
        """
        offered_id = headers.get("x-request-id")
        request_id = path_of_route = client = ""
        family = family_of(path)
        try:
            try:
                route, params = self._router.find(method, path)
            except SlipstreamError:
                if self.keys is not None:
                    self.keys.check(headers)  # strangers do not learn which paths exist
                raise
            request_id = self.ids.choose(offered_id, route.id_prefix)
            path_of_route, family = route.path, route.family
            if not route.open:
                key = None if self.keys is None else self.keys.check(headers)
                if self.limits.of_clients:
                    client = self._enter_client(key, peer, headers)
                self.gate.enter()
        except Exception as error:
            if client:
                self.limits.leave(client)
            request_id = request_id or self.ids.choose(offered_id, "req_")
            self.traffic.refused(error)
            answer = refusal(error, request_id, self.clock, family)
            answer.route = path_of_route
            return answer
        request = Request(method, path, query, headers, params, request_id, route, -1)
        request.client = client
        announced = headers.get("content-length")
        if announced is not None:
            try:
                request.content_length = int(announced)
                self.reserve(request, request.content_length)
            except Exception as error:
                self.leave(request)
                answer = self.refuse(error, request)
                answer.route = path_of_route
                return answer
        return request

    def _enter_client(self, key: int | None, peer: str, headers: Headers) -> str:
        """Who calls, by a key that was proved or by address, with a place of his own taken."""
        client = self.limits.client(peer, headers) if key is None else f"key {key}"
        self.limits.enter(client)
        return client

    def reserve(self, request: Request, count: int) -> None:
        """Sets aside memory for ``count`` more bytes of the body.

        Raises:
            BodyTooLargeError: the body is over the limit.
            OverloadedError: too many bodies are in memory.
        """
        total = request.reserved_bytes + count
        limit = _OPEN_BODY_BYTES if request.route.open else self._max_body_bytes
        if total > limit:
            raise BodyTooLargeError(
                f"The body is larger than the {limit} bytes that are accepted here "
                "(MAX_BODY_BYTES); send the rows in several requests",
                max_body_bytes=limit,
            )
        if not request.route.open:
            self.gate.reserve(count)
        request.reserved_bytes = total

    def run(self, request: Request) -> Response | Pending:
        """Calls the route of a request whose body is there."""
        try:
            return request.route.handler(request)
        except Exception as error:
            return self.refuse(error, request)

    def call(self, request: Request) -> Response:
        """`run` for slow routes, on a thread of the slow lane."""
        answer = self.run(request)
        if isinstance(answer, Pending):
            raise TypeError(f"slow route {request.route.path} returned a pending answer")
        return answer

    def leave(self, request: Request) -> None:
        """Gives the request's place back, once."""
        if not request.route.open and not request.has_left:
            request.has_left = True
            self.gate.leave(request.reserved_bytes)
        if request.client:
            self.limits.leave(request.client)

    def refuse(self, error: Exception, request: Request) -> Response:
        """The answer for a failure."""
        self.traffic.refused(error)
        return error_response(error, request, self.clock)

    def refuse_express(self, error: Exception, request_id: str) -> Response:
        """The same on the express way, where there is no `Request`; all of it is inference."""
        self.traffic.refused(error)
        return refusal(error, request_id, self.clock, "inference")
