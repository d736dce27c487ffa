"""Small decisions of a load: ids, reasons, checks, places."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import msgspec

from slipstream.api.version import Version
from slipstream.errors import InvalidInputError, ModelLoadError
from slipstream.models.prepare import Prepared

_MODEL_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class Promise:
    """Instances that a version being loaded may start, until its model is entered."""

    def __init__(self) -> None:
        self.instances = 0


def checked_id(model_id: str | None, file: Path) -> str:
    """The id that a model gets: the one that was asked for, or one derived from its file.

    Raises:
        InvalidInputError: not of the documented form.
    """
    if model_id is None:
        return _id_of(file)
    if not _MODEL_ID.fullmatch(model_id):
        raise InvalidInputError(
            f"model_id {model_id!r} is not valid: 1 to 128 letters, digits, '_', '-' or '.', "
            "not beginning with '-' or '.'",
            key="model_id",
        )
    return model_id


def with_reason(prepared: Prepared, reason: str) -> Prepared:
    """The same, not compiled for that reason."""
    if prepared.manifest.compiled:  # an ONNX file is what it is
        return prepared
    manifest = msgspec.structs.replace(prepared.manifest, reason=reason)
    return msgspec.structs.replace(prepared, manifest=manifest)


def check_ensemble(version: Version, file: Path, method: str | None) -> None:
    """Refuses a model that is not the ensemble it was said to be."""
    if method is None:
        return
    estimator = version.manifest.estimator or version.manifest.model_type
    if not estimator.lower().startswith(method):
        raise ModelLoadError(
            f"{file.name} holds a {estimator}, no {method} ensemble: leave ensemble_method out, or "
            "name the one it is",
            key="ensemble_method",
        )


def _id_of(file: Path) -> str:
    """A stable id: the same path gets the same one in every process."""
    return f"model_{hashlib.sha256(os.fsencode(file)).hexdigest()[:10]}"


def user_cache_dir() -> Path:
    """Where in-process engines keep artifacts (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "slipstream"
