"""Server-Sent Events, as the HTML Living Standard (section 9.2) writes them."""

from __future__ import annotations

from slipstream.errors import InvalidInputError
from slipstream.http.types import Header, Request

CONTENT_TYPE = "text/event-stream"
HEADERS: tuple[Header, ...] = (("cache-control", "no-store"), ("x-accel-buffering", "no"))
"""Nobody in between may keep events, or collect them."""
RECONNECT = b"retry: 500\n\n"
"""How long a client waits before it comes back, in milliseconds."""
HEARTBEAT = b":\n\n"
"""A comment, which clients drop: it keeps the connection from looking dead."""


def is_wanted(request: Request) -> bool:
    """Whether the client asks for events."""
    accepted = (request.headers.get("accept") or "").lower().split(",")
    return any(part.partition(";")[0].strip() == CONTENT_TYPE for part in accepted)


def last_event_id(request: Request) -> int | None:
    """What a client that comes back has seen; None: it does not say.

    Raises:
        InvalidInputError: it is no id of ours.
    """
    text = request.headers.get("last-event-id")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise InvalidInputError(
            f"Last-Event-ID is not valid: {text[:100]!r}; it is the id of the last event received",
            header="Last-Event-ID",
        )
    return int(text)


def event(data: bytes, *, number: int | None = None, name: str | None = None) -> bytes:
    """One event.

    Args:
        data: Without line breaks, such as JSON.
        number: Its id, which a client that comes back repeats.
        name: Its type; None: an ordinary message.
    """
    head = b"" if number is None else b"id: %d\n" % number
    if name is not None:
        head += b"event: " + name.encode() + b"\n"
    return head + b"data: " + data + b"\n\n"
