"""The file that an operator may put beside a model, ``MODEL_FILE.toml``; several parts read it.

It lies in the model directory, so it is foreign: bounded, and no way to read what lies elsewhere.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from slipstream.decoding import foreign_toml
from slipstream.errors import ModelLoadError, UnsafeModelError

_MOST_BYTES = 1 << 20


def file_beside(path: Path) -> Path:
    """Where it is, of the model at ``path``."""
    return path.with_name(f"{path.name}.toml")


def read_beside(path: Path) -> dict[str, Any]:
    """Its tables, whoever they are for; none where there is no such file.

    Raises:
        UnsafeModelError: it is a link that leads out of the model's folder.
        ModelLoadError: it is no TOML, too long, or cannot be read.
    """
    file = file_beside(path)
    if not file.is_file():
        return {}
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise UnsafeModelError(f"{file.name} leads outside the model's own folder")
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ModelLoadError(f"{file.name} cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise ModelLoadError(f"{file.name} is longer than {_MOST_BYTES} bytes")
    try:
        return foreign_toml(data)
    except tomllib.TOMLDecodeError as error:
        raise ModelLoadError(f"{file.name} is not valid: {error}") from error
