"""Holds an entry of ``models.json`` against the files that are there, without loading anything."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from slipstream.errors import InvalidInputError, ModelLoadError, SlipstreamError
from slipstream.models.artifacts import sha256_of
from slipstream.models.catalog import ModelEntry
from slipstream.models.ensembles import read_ensemble
from slipstream.models.paths import resolve_model_path
from slipstream.models.prepare import TYPE_ALIASES, PrepareOptions, check_digest, recognised
from slipstream.models.sidecar import read_sidecar


class Checked(NamedTuple):
    """What came of it."""

    entry: ModelEntry
    size_bytes: int | None
    """Of the file; None where there is none."""
    kind: str | None
    """What the file holds; None where that is not known."""
    problem: str | None
    """Why it would not be served; None where nothing speaks against it."""


def check_entry(entry: ModelEntry, model_dir: Path, *, allow_custom_code: bool) -> Checked:
    """Whether a file is there, inside the wall, the one that is pinned, and of the type said.

    A pickle is not opened: whether it may be, and what it is worth, is seen when it is loaded.
    """
    size: int | None = None
    try:
        file = resolve_model_path(entry.model_path, model_dir)
        size = file.stat().st_size
        kind = _kind_of(file, entry, model_dir, allow_custom_code)
        read_sidecar(file)
    except (ModelLoadError, InvalidInputError) as error:
        return Checked(entry, size, None, error.message)
    except (SlipstreamError, OSError) as error:
        return Checked(entry, size, None, str(error))
    return Checked(entry, size, kind, None)


def _kind_of(file: Path, entry: ModelEntry, model_dir: Path, allow_custom_code: bool) -> str:
    digest = sha256_of(file)
    if entry.sha256 is not None:
        check_digest(file, digest, entry.sha256)
    if read_ensemble(file) is not None:
        if entry.model_type not in ("auto", "ensemble"):
            raise ModelLoadError(f"{file.name} is an ensemble file, not {entry.model_type!r}")
        return "an ensemble file"
    found = recognised(
        file,
        digest,
        PrepareOptions(
            model_type=TYPE_ALIASES.get(entry.model_type, entry.model_type),
            allow_custom_code=allow_custom_code,
            model_dir=model_dir,
            sha256=entry.sha256,
        ),
    )
    return found.what or found.library or found.kind
