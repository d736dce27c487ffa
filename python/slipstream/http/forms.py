"""The forms of a prediction's body and of its answer: JSON, MessagePack, a tensor as bytes.

The body's is named by ``Content-Type``, the answer's by ``Accept``; an answer has the form of its
request unless ``Accept`` names another. Errors are JSON always.

A tensor's body is its little-endian, row-major elements; ``X-Tensor-Dtype`` and ``X-Tensor-Shape``
(``64,30``) say which, and what JSON has beside ``data`` stands in the query string. A tensor's
answer has the same headers; probabilities that were asked for follow the predictions in the body,
under ``X-Probabilities-Dtype`` and ``X-Probabilities-Shape``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from slipstream.decoding import msgpack_decoder
from slipstream.errors import InvalidInputError, MalformedInputError
from slipstream.http.codec import JsonBody, refuse_compressed
from slipstream.http.queries import Query
from slipstream.http.schemas.predict import PredictOptions, PredictRequest
from slipstream.http.types import Header, Request

if TYPE_CHECKING:
    from slipstream.api import BodyKind, RawTensor

_JSON = "application/json"
_MSGPACK = "application/msgpack"
_TENSOR = "application/octet-stream"
CONTENT_TYPE: dict[BodyKind, str] = {"json": _JSON, "msgpack": _MSGPACK, "tensor": _TENSOR}
_KIND: dict[str, BodyKind] = {
    _JSON: "json",
    _MSGPACK: "msgpack",
    "application/x-msgpack": "msgpack",
    "application/vnd.msgpack": "msgpack",
    _TENSOR: "tensor",
}
_MOST_DIMENSIONS = 32

T = TypeVar("T")


class MsgpackBody(Generic[T]):
    """The decoder of one kind of MessagePack body; make one per kind at import."""

    __slots__ = ("_decode",)

    def __init__(self, kind: type[T]) -> None:
        self._decode = msgpack_decoder(kind)

    def __call__(self, request: Request) -> T:
        """Decodes the request's body.

        Raises:
            MalformedInputError: not MessagePack.
            InvalidInputError: MessagePack, but not what this endpoint takes.
        """
        try:
            return self._decode(request.body)
        except msgspec.ValidationError as error:
            raise InvalidInputError(f"The body is not valid: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedInputError(f"The body is not MessagePack: {error}") from None


_json_body = JsonBody(PredictRequest)
_msgpack_body = MsgpackBody(PredictRequest)
_read_options = Query(PredictOptions)
encode_msgpack = msgspec.msgpack.Encoder().encode


def body_kind(request: Request) -> BodyKind:
    """The form of the body; whatever is not known is taken for JSON.

    Raises:
        UnsupportedEncodingError: a binary body is compressed: its bytes could mean anything.
    """
    named = request.headers.get("content-type")
    kind = "json" if named is None else _KIND.get(_media_type(named), "json")
    if kind != "json":
        refuse_compressed(request)
    return kind


def answer_kind(request: Request, body: BodyKind) -> BodyKind:
    """The first form that ``Accept`` names, else the body's."""
    named = request.headers.get("accept")
    for part in (named or "").split(","):
        kind = _KIND.get(_media_type(part))
        if kind is not None:
            return kind
    return body


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def json_envelope(request: Request) -> PredictRequest:
    """The body of a JSON request, with its rows as they came.

    Raises: as `JsonBody`.
    """
    return _json_body(request)


def msgpack_envelope(request: Request) -> PredictRequest:
    """The same of MessagePack.

    Raises: as `MsgpackBody`.
    """
    return _msgpack_body(request)


def tensor_options(request: Request) -> PredictOptions:
    """What stands in the query string of a tensor's request.

    Raises:
        InvalidInputError: a value is not of its kind.
    """
    return _read_options(request)


def tensor_dtype_and_shape(request: Request) -> tuple[str, tuple[int, ...]]:
    """What the headers say of a tensor's body.

    Raises:
        InvalidInputError: a header is missing, or is not what it should be.
    """
    dtype = request.headers.get("x-tensor-dtype")
    shape = request.headers.get("x-tensor-shape")
    if dtype is None or shape is None:
        missing = "X-Tensor-Dtype" if dtype is None else "X-Tensor-Shape"
        raise InvalidInputError(
            f"a tensor's body needs the header {missing}; send both, as in "
            "X-Tensor-Dtype: float32, X-Tensor-Shape: 64,30",
            header=missing,
        )
    sizes = [size.strip() for size in shape.split(",")]
    if len(sizes) > _MOST_DIMENSIONS or not all(
        size.isascii() and size.isdecimal() and len(size) <= 18 for size in sizes
    ):
        raise InvalidInputError(
            f"X-Tensor-Shape is {shape[:100]!r}; it is at most {_MOST_DIMENSIONS} sizes of at most "
            "18 digits, set apart by commas, as in 64,30",
            header="X-Tensor-Shape",
        )
    return dtype, tuple(map(int, sizes))


def tensor_headers(name: str, tensor: RawTensor) -> tuple[Header, Header]:
    """The headers that describe one tensor of an answer."""
    return (
        (f"x-{name}-dtype", tensor.dtype),
        (f"x-{name}-shape", ",".join(map(str, tensor.shape))),
    )
