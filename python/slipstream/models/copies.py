"""Copies of model files that are surely of what was hashed."""

from __future__ import annotations

import shutil
from pathlib import Path

from slipstream.errors import ModelLoadError
from slipstream.models.artifacts import sha256_of


def copy_checked(path: Path, digest: str, target: Path) -> None:
    """Copies a file, and makes sure that the copy is what was hashed.

    Raises:
        ModelLoadError: it is not.
    """
    shutil.copyfile(path, target)
    if sha256_of(target) != digest:
        raise ModelLoadError(f"{path.name} changed while it was being read: load it again")
