"""What an operator says of a model in a file beside it: ``MODEL_FILE.toml``.

``digits.onnx`` may have ``digits.onnx.toml``::

    [warmup]
    rows = [[0.0, 1.5, 3.0]]  # as in a request's "data"; nan is a missing value

    [cache]
    predictions = true

    [text]
    rows = "utf-8"  # a string stands for a row of numbers: its bytes
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from slipstream.decoding import converter
from slipstream.errors import ModelLoadError

_MOST_BYTES = 1 << 20


class Warmup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a version runs before it answers."""

    rows: Any


class Cache(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether answers are remembered."""

    predictions: bool = False


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a string means where a row of numbers is due."""

    rows: Literal["utf-8"]


class Sidecar(msgspec.Struct, frozen=True):
    """The tables that are read here; others are somebody else's."""

    warmup: Warmup | None = None
    cache: Cache = Cache()
    text: Text | None = None


_sidecar = converter(Sidecar)


def sidecar_path(file: Path) -> Path:
    """Where a model's sidecar is."""
    return file.with_name(f"{file.name}.toml")


def read_sidecar(file: Path) -> Sidecar:
    """The sidecar of a model file; an empty one where there is none.

    Raises:
        ModelLoadError: it is not TOML, too large, or says something that is not known.
    """
    path = sidecar_path(file)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ModelLoadError(f"{path.name} is larger than {_MOST_BYTES} bytes")
        return _sidecar(tomllib.loads(data.decode()))
    except FileNotFoundError:
        return Sidecar()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.MsgspecError) as error:
        raise ModelLoadError(f"{path.name} cannot be read: {error}") from error
