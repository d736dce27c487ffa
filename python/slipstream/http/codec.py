"""JSON in and out: decoders and encoders are built once, failures become our errors.

`JsonBody` decodes only the envelope of a request; large values stay raw (`msgspec.Raw`) and are
parsed by the core. Unknown keys are ignored, so that a client may send one body to several
endpoints; the documentation says so.
"""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar

import msgspec

from slipstream.errors import InvalidInputError, MalformedInputError
from slipstream.http.errors import UnsupportedEncodingError
from slipstream.http.types import Request, Response

T = TypeVar("T")

encode_json = msgspec.json.Encoder(enc_hook=str).encode
_skim = msgspec.json.Decoder(msgspec.Raw).decode
"""Walks a whole document without building it: only to learn whether it is JSON at all."""


class JsonBody(Generic[T]):
    """The decoder of one kind of request body; make one per kind at import."""

    __slots__ = ("_decode",)

    def __init__(self, kind: type[T]) -> None:
        self._decode = msgspec.json.Decoder(kind).decode

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
            raise InvalidInputError(_explain(error), **_where(error)) from None
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


def _explain(error: msgspec.ValidationError) -> str:
    text = str(error)
    missing = "Object missing required field `"
    if text.startswith(missing):
        return f"The body lacks the key '{text[len(missing) :].partition('`')[0]}'"
    what, _, path = text.partition(" - at `$")
    if path:
        return f"'{path[:-1].lstrip('.')}' is not valid: {what[:1].lower()}{what[1:]}"
    return f"The body is not valid: {what[:1].lower()}{what[1:]}"


def _where(error: msgspec.ValidationError) -> dict[str, str]:
    path = str(error).partition(" - at `$")[2][:-1].lstrip(".")
    return {"key": path} if path else {}


def json_response(body: msgspec.Struct, status: int = 200) -> Response:
    """A Struct as an answer; its fields are the keys, in their order."""
    return Response(status, encode_json(body))
