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

from pathlib import Path
from typing import Any, Literal

import msgspec

from slipstream.decoding import converter
from slipstream.errors import ModelLoadError
from slipstream.models.beside import file_beside, read_beside
from slipstream.models.catalog import MODELS_FILE
from slipstream.models.declared import Declared


class Warmup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a version runs before it answers."""

    rows: Any


class Cache(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether answers are remembered."""

    predictions: bool = False


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a string means where a row of numbers is due."""

    rows: Literal["utf-8"]


class _Tables(msgspec.Struct, frozen=True):
    """Those that are read here; others are somebody else's."""

    warmup: Warmup | None = None
    cache: Cache = Cache()
    text: Text | None = None


class Sidecar(msgspec.Struct, frozen=True):
    """What a version is told by its operator, in the file beside it or in ``models.json``."""

    warmup: Warmup | None = None
    cache: Cache = Cache()
    source: str = ""
    """Where ``warmup`` stands, for messages."""
    text: Text | None = None
    batching: bool = True
    """Whether rows of several requests may share an execution."""


_tables = converter(_Tables)


def read_sidecar(file: Path) -> Sidecar:
    """The sidecar of a model file; an empty one where there is none.

    Raises:
        UnsafeModelError: it is a link that leads out of the model's folder.
        ModelLoadError: it is not TOML, too long, or says something that is not known.
    """
    found, name = read_beside(file), file_beside(file).name
    if not found:
        return Sidecar()
    try:
        tables = _tables(found)
    except msgspec.ValidationError as error:
        raise ModelLoadError(f"{name} is not valid: {error}") from error
    return Sidecar(tables.warmup, tables.cache, name, tables.text)


def sidecar_of(file: Path, declared: Declared) -> Sidecar:
    """The same, with what ``models.json`` says of the model on top.

    Raises:
        UnsafeModelError, ModelLoadError: as `read_sidecar`.
    """
    found = msgspec.structs.replace(read_sidecar(file), batching=declared.batching)
    if declared.warmup_rows is None:
        return found
    rows = Warmup(declared.warmup_rows)
    return msgspec.structs.replace(found, warmup=rows, source=MODELS_FILE)
