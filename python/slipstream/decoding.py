"""Decoders of Structs, to be made while a module is imported.

msgspec (0.22) works out what a Struct is when one is first decoded, and other threads see it half
made: two that decode a Struct for the first time side by side end the process with a segmentation
fault. While a module is imported no other thread has its Structs, so what is made then is whole
before anybody uses it. A test holds that nothing decodes Structs in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

T = TypeVar("T")


def json_decoder(kind: type[T]) -> Callable[[bytes | memoryview], T]:
    """From JSON; raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return msgspec.json.Decoder(kind).decode


def msgpack_decoder(kind: type[T]) -> Callable[[bytes], T]:
    """From MessagePack; raises as `json_decoder`."""
    return msgspec.msgpack.Decoder(kind).decode


def converter(kind: type[T]) -> Callable[[object], T]:
    """From dicts and lists; raises ``msgspec.ValidationError``."""
    msgspec.json.Decoder(kind)  # what it has to know of the Struct is kept with the Struct
    return partial(msgspec.convert, type=kind)


def text_converter(kind: type[T]) -> Callable[[object], T]:
    """The same, of values that are all texts, as in a query string."""
    msgspec.json.Decoder(kind)
    return partial(msgspec.convert, type=kind, strict=False)
