"""The vocabulary between routes and server adapters: request, response, pending answer, route.

A route is a plain function from a `Request` to a `Response`, or to a `Pending` when the answer
comes later. Routes never see the server interface; adapters never see JSON.

Threads: a route runs on the event loop's thread, except one marked ``slow``, which runs on the
slow lane and must return a `Response`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from slipstream.scopes import Scope

Header: TypeAlias = tuple[str, str]
Method: TypeAlias = Literal["GET", "POST", "PUT", "DELETE"]
Family: TypeAlias = Literal["inference", "core"]
"""Two APIs, two error bodies: `/api/inference/…`, and the endpoints at the root."""


class Headers(Protocol):
    """Request headers: names in lower case; a value that is not ASCII counts as absent."""

    def get(self, key: str, default: None = None, /) -> str | None:
        """The first value of a header, or None."""

    def __contains__(self, key: str, /) -> bool:
        """Whether there is such a header, whatever its value."""


class Response(msgspec.Struct, gc=False):
    """A complete answer. The adapter adds ``X-Request-ID``."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()
    """Extra headers, names in lower case."""
    content_type: str = "application/json"
    close: bool = False
    """Whether the connection must not be used again (part of the request was left unread)."""
    route: str = ""
    """Set on a refusal where the route was known: its path, for counting."""
    request_id: str = ""
    """Set on a refusal, where there may be no `Request` that knows it."""


class Streaming(Response, gc=True):
    """An answer whose body comes in pieces, for as long as there are any.

    ``body`` stays empty. Such a request gives its place in the gate back before the first piece,
    and the server keeps what the client has not taken yet: whoever makes one bounds both how many
    there are and how much each sends. The adapter closes ``pieces`` when the client has hung up,
    or the server ends.
    """

    pieces: AsyncGenerator[bytes] | None = None


class Request(msgspec.Struct):
    """One request after routing and admission; ``body`` is filled in by the adapter."""

    method: str
    path: str
    query: str
    headers: Headers
    params: dict[str, str]
    """Values of the ``{names}`` in the route's path."""
    request_id: str
    route: Route
    content_length: int
    """What the client announced; -1 when it did not."""
    body: bytes = b""
    reserved_bytes: int = 0
    """What `Gate` has set aside for the body."""
    has_left: bool = False
    """Whether its place was given back."""
    client: str = ""
    """Whom `Limits` counts it under; empty: nobody."""
    must_prove: bool = False
    """Whether who calls is still to be proved, by the body. Until then it has no place."""
    began_s: float = msgspec.field(default_factory=time.perf_counter)
    """When its head was here, on that clock."""

    @property
    def age_s(self) -> float:
        """How long it has been here."""
        return time.perf_counter() - self.began_s


class Pending:
    """An answer that is not there yet.

    Made by a route, resolved exactly once on the event loop's thread (the same that made it),
    perhaps before the route returns. `cancel` withdraws the work; the answer still arrives.
    """

    __slots__ = ("_waiter", "answer")
    holds_place = True
    """Whether it counts as a request in progress. What only waits for others must not."""

    def __init__(self) -> None:
        self.answer: Response | None = None
        self._waiter: Callable[[Response], None] | None = None

    def resolve(self, answer: Response) -> None:
        """Sets the answer and tells whoever waits."""
        self.answer = answer
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            waiter(answer)

    def then(self, waiter: Callable[[Response], None]) -> None:
        """Calls ``waiter`` with the answer: now if it is there, else when it comes."""
        if self.answer is not None:
            waiter(self.answer)
        else:
            self._waiter = waiter

    def cancel(self) -> None:
        """Withdraws the work where that is possible; by default it runs to its end."""


Handler: TypeAlias = Callable[[Request], Response | Pending]


class Express(Protocol):
    """A route's short way: from the bytes of a body to those of its answer, in one call.

    It may decline any request, which the route's handler then answers; where both answer, they
    answer the same. Any thread; `drain` on the event loop's.
    """

    def answer(
        self, body: bytes, request_id: str, timestamp: str, who: object
    ) -> bytes | int | None:
        """The answer; or a tag, and `drain` will return ``who`` with it; or None: declined.

        Raises:
            SlipstreamError: the request is refused, or has failed.
        """

    def drain(self, timestamp: str) -> list[tuple[Any, bytes | Exception]]:
        """``(who, answer or error)`` of what has ended."""

    def cancel(self, tag: int) -> None:
        """Withdraws a request that waits; `drain` returns it all the same."""

    def fileno(self) -> int:
        """Readable while there is something to drain."""


class About(msgspec.Struct, frozen=True):
    """What the OpenAPI document says of a route, beside what its row says anyway.

    Statuses that follow from the row (a key, a body, an id in the path) need no naming; see
    `slipstream.http.openapi.statuses_of`.
    """

    summary: str
    """A line, as in a table of contents."""
    gives: type[msgspec.Struct] | None = None
    """The answer's body; None where it is no JSON object of ours."""
    takes: type[msgspec.Struct] | None = None
    """The request's body; None: it takes none."""
    fails: tuple[int, ...] = ()
    """Statuses that this route answers, beside those that follow from its row."""
    query: type[msgspec.Struct] | None = None
    """The parameters of the query string, all of them optional ones with a default."""
    binary: bool = False
    """Whether bodies may be MessagePack and tensors (`slipstream.http.forms`)."""
    others: tuple[tuple[int, type[msgspec.Struct]], ...] = ()
    """Statuses with a body of their own."""
    status: int = 200
    """Of success."""
    media_type: str = "application/json"
    """Of success."""
    files: tuple[str, ...] = ()
    """Media types of bodies that are a file; ``takes`` is then what a form around one holds."""
    gives_files: tuple[str, ...] = ()
    """Media types of success that are a file, beside ``media_type``."""
    is_kept: bool = False
    """Whether answers have an entity tag, and conditional requests get 304."""


class Route(msgspec.Struct, frozen=True):
    """One row of the route table."""

    method: Method
    path: str
    """Literal segments and ``{name}`` segments: ``/api/inference/models/{model_id}/info``."""
    handler: Handler
    slow: bool = False
    """Runs on the slow lane: it blocks (loads, unloads)."""
    open: bool = False
    """Answers without a key, and whatever the load is."""
    id_prefix: str = "req_"
    """How the request ids that we make up begin."""
    express: Express | None = None
    """Answers most of the route's requests; the handler answers the others."""
    about: About | None = None
    scope: Scope | None = None
    """What a key or token has to allow, where one is required; None: any known one will do."""
    protected: bool = False
    """Asks for a token, or for a key with scope ``admin``, whatever the settings say."""
    body_token: bool = False
    """Where a key or token is required and the head has none, the body's ``token`` counts."""
    family: Family = "inference"
    """Whose error body it answers with; ``express`` knows that of inference only."""
