"""What Granian gives an RSGI application, as far as it is used here, typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from granian._granian import RSGIProtocolClosed as ProtocolClosed
from granian._granian import RSGIProtocolError as ProtocolError

from slipstream.http.types import Header, Headers

__all__ = [
    "Arriving",
    "ProtocolClosed",
    "ProtocolError",
    "Scope",
    "StreamTransport",
    "Transport",
]

T_co = TypeVar("T_co", covariant=True)


class Arriving(Awaitable[T_co], Protocol[T_co]):
    """An awaitable of Granian's; cancelling raises ``CancelledError`` where it is awaited."""

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Calls back with this, through the loop's ``call_soon_threadsafe``, when it is done."""

    def result(self) -> T_co:
        """What it brought; raises what went wrong."""

    def cancel(self) -> object:
        """Gives up waiting."""


class Scope(Protocol):
    """The head of a request."""

    @property
    def method(self) -> str:
        """In capitals."""

    @property
    def path(self) -> str:
        """Percent-decoded."""

    @property
    def query_string(self) -> str:
        """Without the question mark."""

    @property
    def client(self) -> str:
        """Address and port of who is connected; empty on a Unix socket."""

    @property
    def http_version(self) -> str:
        """``1``, ``1.1`` or ``2``."""

    @property
    def headers(self) -> Headers:
        """A copy: ask once."""


class StreamTransport(Protocol):
    """The body of an answer in pieces; it ends when this object is gone."""

    def send_bytes(self, data: bytes, /) -> Awaitable[None]:
        """Queues it. Raises ``ProtocolClosed`` when the client has gone."""


class Transport(Protocol):
    """The body of a request, its answer, and its client. One request each."""

    def __call__(self) -> Arriving[bytes]:
        """The whole body. Raises ``ProtocolError`` when the client breaks off."""

    def __aiter__(self) -> Transport:
        """The body in chunks, instead of whole; once."""

    def __anext__(self) -> Arriving[bytes]:
        """The next chunk; raises ``StopAsyncIteration`` at the end."""

    def client_disconnect(self) -> Arriving[None]:
        """Done when the client has hung up."""

    def response_stream(self, status: int, headers: list[Header]) -> StreamTransport:
        """Answers with a body that comes in pieces."""

    def response_bytes(self, status: int, headers: list[Header], body: bytes) -> None:
        """Answers; a second answer is ignored. Any thread that holds the GIL may call it."""
