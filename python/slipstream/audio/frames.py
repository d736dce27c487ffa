"""Messages between the server and a speech child: a JSON head, then bytes that it may announce.

A frame is two lengths (32 bits, little-endian), the head, the payload. The server asks with
``{"number", "ask", …}`` and withdraws with ``{"number", "cancel"}``; the child answers with any
number of ``{"number", "part", …}`` and one ``{"number", "done", …}`` or ``{"number", "failed"}``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple, cast

LENGTHS = struct.Struct("<II")
MOST_HEAD_BYTES = 16 * 1024 * 1024
MOST_PAYLOAD_BYTES = 1024 * 1024 * 1024


class FrameError(Exception):
    """The other side sent something that is not of this protocol; the connection is unusable."""


class Frame(NamedTuple):
    """One message."""

    head: dict[str, Any]
    payload: bytes = b""


def pack(head: Mapping[str, Any], payload: bytes = b"") -> tuple[bytes, bytes]:
    """A message's bytes in two pieces, so that a large payload is not copied."""
    text = json.dumps(head).encode()
    return LENGTHS.pack(len(text), len(payload)) + text, payload


def lengths(data: bytes) -> tuple[int, int]:
    """Of head and payload.

    Raises:
        FrameError: larger than any of ours.
    """
    head_bytes, payload_bytes = LENGTHS.unpack(data)
    if head_bytes > MOST_HEAD_BYTES or payload_bytes > MOST_PAYLOAD_BYTES:
        raise FrameError(f"a message of {head_bytes} and {payload_bytes} bytes is none of ours")
    return head_bytes, payload_bytes


def head_of(data: bytes) -> dict[str, Any]:
    """The head; raises `FrameError` where it is no JSON object."""
    try:
        head = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a message's head is not JSON: {error}") from error
    if not isinstance(head, dict):
        raise FrameError("a message's head is not an object")
    return cast(dict[str, Any], head)


def read(stream: BinaryIO) -> Frame | None:
    """The next message, blocking; None at the end. For the child."""
    start = stream.read(LENGTHS.size)
    if len(start) < LENGTHS.size:
        return None
    head_bytes, payload_bytes = lengths(start)
    head, payload = stream.read(head_bytes), stream.read(payload_bytes)
    if len(head) < head_bytes or len(payload) < payload_bytes:
        return None
    return Frame(head_of(head), payload)
