"""A token in the body: for clients that cannot set a header.

It counts only where the head has neither a key nor a token. The body is read before it is known
who sends it, so it is held to little, and has no place among the requests in progress until then.
"""

from __future__ import annotations

import msgspec

from slipstream.decoding import json_decoder
from slipstream.http.types import Headers


class _Body(msgspec.Struct):
    token: str | None = None


_decode = json_decoder(_Body)


def has_credentials(headers: Headers) -> bool:
    """Whether the head has a key or a token, good or bad."""
    return "x-api-key" in headers or "authorization" in headers


def token_of(body: bytes) -> str | None:
    """The value of ``token`` of a JSON object; None where there is none, or no such object."""
    try:
        return _decode(body).token
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # what is wrong with the body is told to callers that are known
