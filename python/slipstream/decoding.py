"""Decoders of Structs, to be made while a module is imported.

msgspec (0.22) works out what a Struct is when one is first decoded, and other threads see it half
made: two that decode a Struct for the first time side by side end the process with a segmentation
fault. While a module is imported no other thread has its Structs, so what is made then is whole
before anybody uses it. A test holds that nothing decodes Structs in another way.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_TOO_DEEP = "it is nested too deeply"


def json_decoder(kind: type[T]) -> Callable[[bytes | memoryview], T]:
    """From JSON; raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return msgspec.json.Decoder(kind).decode


def file_decoder(kind: type[T]) -> Callable[[bytes | memoryview], T]:
    """From JSON of a file that somebody else wrote; raises only ``msgspec.MsgspecError``."""
    decode = json_decoder(kind)

    def decode_file(data: bytes | memoryview) -> T:
        try:
            return decode(data)
        except RecursionError as error:
            raise msgspec.DecodeError(_TOO_DEEP) from error
        except UnicodeDecodeError as error:
            raise msgspec.DecodeError("it is not UTF-8 text") from error

    return decode_file


foreign_value: Callable[[bytes | memoryview], Any] = file_decoder(object)
"""What JSON of somebody else says, strictly; raises only ``msgspec.MsgspecError``."""


def foreign_json(data: bytes | str) -> object:
    """What JSON of somebody else says, NaN and Infinity too; raises only ``ValueError``."""
    try:
        found: object = json.loads(data)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error
    return found


def foreign_toml(data: bytes) -> dict[str, Any]:
    """What TOML of somebody else says; raises only ``tomllib.TOMLDecodeError``."""
    try:
        return tomllib.loads(data.decode())
    except RecursionError as error:
        raise tomllib.TOMLDecodeError(_TOO_DEEP) from error
    except UnicodeDecodeError as error:
        raise tomllib.TOMLDecodeError("it is not UTF-8 text") from error


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
