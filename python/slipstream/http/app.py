"""One request, step by step, without knowing which server carries it.

An adapter calls `App.admit` when the head of a request is there, reads the body, then calls
`App.run` (or hands `App.call` to the slow lane for a slow route), sends the answer, and calls
`App.leave`. None of them raises: every failure is an answer in the documented error format.

Threads: `run` on the event loop's thread; everything else on any.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from slipstream.auth.credentials import Caller
from slipstream.errors import SlipstreamError
from slipstream.http.auth import Access
from slipstream.http.body_token import has_credentials, token_of
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
"""Body limit of open routes, and of requests whose body is to prove who sends it: no place in the
gate counts them."""


class App:
    """The route table with everything that stands before a route."""

    def __init__(
        self,
        routes: Iterable[Route],
        settings: Settings,
        clock: Clock,
        traffic: Traffic | None = None,
        limits: Limits | None = None,
        access: Access | None = None,
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
        self.access = access or Access(settings)
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
        must_prove = False
        family = family_of(path)
        try:
            try:
                route, params = self._router.find(method, path)
            except SlipstreamError:
                if self.access.required:
                    self.access.check_any(headers)  # strangers do not learn which paths exist
                raise
            request_id = self.ids.choose(offered_id, route.id_prefix)
            path_of_route, family = route.path, route.family
            if not route.open:
                must_prove = route.body_token and self.access.asks(route)
                must_prove = must_prove and not has_credentials(headers)
                caller = None if must_prove else self.access.check(route, headers)
                if self.limits.of_clients:
                    client = self._enter_client(caller, peer, headers)
                if not must_prove:
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
        request.must_prove = must_prove
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

    def _enter_client(self, caller: Caller | None, peer: str, headers: Headers) -> str:
        """Who calls, by name if it was proved or by address, with a place of his own taken."""
        name = "" if caller is None else caller.name
        client = name or self.limits.client(peer, headers)
        self.limits.enter(client)
        return client

    def reserve(self, request: Request, count: int) -> None:
        """Sets aside memory for ``count`` more bytes of the body.

        Raises:
            BodyTooLargeError: the body is over the limit.
            OverloadedError: too many bodies are in memory.
        """
        total = request.reserved_bytes + count
        is_counted = not (request.route.open or request.must_prove)
        limit = self._max_body_bytes if is_counted else min(_OPEN_BODY_BYTES, self._max_body_bytes)
        if total > limit and request.must_prove:
            raise BodyTooLargeError(
                f"A body of more than {limit} bytes needs the key or token in its head: "
                "Authorization: Bearer TOKEN",
                max_body_bytes=limit,
            )
        if total > limit:
            raise BodyTooLargeError(
                f"The body is larger than the {limit} bytes that are accepted here "
                "(MAX_BODY_BYTES); send the rows in several requests",
                max_body_bytes=limit,
            )
        if is_counted:
            self.gate.reserve(count)
        request.reserved_bytes = total

    def run(self, request: Request) -> Response | Pending:
        """Calls the route of a request whose body is there."""
        try:
            if request.must_prove:
                self._prove(request)
            return request.route.handler(request)
        except Exception as error:
            return self.refuse(error, request)

    def _prove(self, request: Request) -> None:
        """Has the body's token say who calls, and takes the place that a known caller gets.

        Raises:
            AuthenticationError: there is none, or it is not valid.
            ForbiddenError: it does not suffice.
            OverloadedError: there is no place.
        """
        self.access.check_token(request.route, token_of(request.body))
        self.gate.enter()
        request.must_prove = False
        request.reserved_bytes = 0
        self.reserve(request, len(request.body))

    def call(self, request: Request) -> Response:
        """`run` for slow routes, on a thread of the slow lane."""
        answer = self.run(request)
        if isinstance(answer, Pending):
            raise TypeError(f"slow route {request.route.path} returned a pending answer")
        return answer

    def leave(self, request: Request) -> None:
        """Gives the request's place back, once."""
        if not (request.route.open or request.must_prove or request.has_left):
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
