"""Models that ship inside packages."""

from __future__ import annotations

import importlib.resources
from pathlib import Path


def package_file(package: str, *parts: str) -> Path:
    """A file inside an installed package."""
    file = Path(str(importlib.resources.files(package).joinpath(*parts)))
    assert file.is_file(), f"{package} does not carry {'/'.join(parts)}"
    return file
