"""What other people's JSON and TOML says, or why it cannot be read: `slipstream.decoding`."""

from __future__ import annotations

import tomllib

import msgspec
import pytest

from slipstream.decoding import file_decoder, foreign_json, foreign_toml

DEEP = b"[" * 200_000
BAD = [(DEEP, "too deeply"), (b'"\xff"', "UTF-8")]


@pytest.mark.parametrize(("data", "says"), BAD)
def test_json(data: bytes, says: str) -> None:
    for kind in (object, dict[str, int]):
        with pytest.raises(msgspec.MsgspecError):
            file_decoder(kind)(data)
    with pytest.raises(msgspec.MsgspecError, match=says):
        file_decoder(object)(data)
    with pytest.raises(ValueError, match=says):
        foreign_json(data)
    assert foreign_json(b'{"a": Infinity}') == {"a": float("inf")}


@pytest.mark.parametrize(("data", "says"), BAD)
def test_toml(data: bytes, says: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError, match=says):
        foreign_toml(b"a = " + data)
    assert foreign_toml(b"a = [1]") == {"a": [1]}
