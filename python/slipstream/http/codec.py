"""JSON in and out: decoders and encoders are built once, failures become our errors.

`JsonBody` decodes only the envelope of a request; large values stay raw (`msgspec.Raw`) and are
parsed by the core. Unknown keys are ignored, so that a client may send one body to several
endpoints; the documentation says so.
"""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar

import msgspec

from slipstream.decoding import json_decoder
from slipstream.errors import InvalidInputError, MalformedInputError
from slipstream.http.errors import UnsupportedEncodingError
from slipstream.http.types import Request, Response

T = TypeVar("T")

encode_json = msgspec.json.Encoder(enc_hook=str).encode
_skim = json_decoder(msgspec.Raw)
"""Walks a whole document without building it: only to learn whether it is JSON at all."""


class JsonBody(Generic[T]):
    """The decoder of one kind of request body; make one per kind at import."""

    __slots__ = ("_decode",)

    def __init__(self, kind: type[T]) -> None:
        self._decode = json_decoder(kind)

    def __call__(self, request: Request) -> T:
        """Decodes the request's body, whatever its content type says.

        Raises:
            MalformedInputError: not JSON, not UTF-8, or nested too deep.
            InvalidInputError: JSON, but not what this endpoint takes.
            UnsupportedEncodingError: the body is compressed.
        """
        try:
            return self._decode(request.body)
        except msgspec.ValidationError as error:
            _refuse_unless_json(request)
            said, where = explained(error, "body")
            raise InvalidInputError(said, **where) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _refuse(request, error)


def _refuse_unless_json(request: Request) -> None:
    """A wrong key may be found before a syntax error behind it; the syntax error matters more."""
    try:
        _skim(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse(request, error)


def refuse_compressed(request: Request) -> None:
    """For bodies that are not what they should be, or of which nobody could tell.

    Raises:
        UnsupportedEncodingError: the request says that its body is compressed.
    """
    encoding = request.headers.get("content-encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise UnsupportedEncodingError(
            f"The body is compressed ({encoding}); send it uncompressed", content_encoding=encoding
        )


def _refuse(request: Request, error: Exception) -> NoReturn:
    refuse_compressed(request)
    if not request.body.strip():
        raise MalformedInputError("The body is empty; this endpoint takes a JSON object")
    if isinstance(error, RecursionError):
        raise MalformedInputError("The body is not acceptable JSON: it is nested too deep")
    if isinstance(error, UnicodeDecodeError):
        raise MalformedInputError("The body is not JSON: a string in it is not UTF-8")
    raise MalformedInputError(f"The body is not JSON: {error}")


def explained(error: msgspec.ValidationError, what: str) -> tuple[str, dict[str, str]]:
    """What is wrong with a body or a query string, for its sender, and the key that it is about."""
    text = str(error)
    missing = "Object missing required field `"
    reason, _, path = text.partition(" - at `$")
    key = path[:-1].lstrip(".")
    where = {"key": key} if key else {}
    if text.startswith(missing):
        return f"The {what} lacks the key '{text[len(missing) :].partition('`')[0]}'", where
    reason = f"{reason[:1].lower()}{reason[1:]}"
    if path:
        return f"'{key}' is not valid: {reason}", where
    return f"The {what} is not valid: {reason}", where


def json_response(body: msgspec.Struct, status: int = 200) -> Response:
    """A Struct as an answer; its fields are the keys, in their order."""
    return Response(status, encode_json(body))
