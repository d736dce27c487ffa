"""Models that ship inside packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SILERO = """
[constants]
sr = 16000

[states.state]
output = "stateN"
shape = [2, "rows", 128]
"""
"""How silero-vad keeps its state from one request to the next, as its sidecar says it."""


def package_file(package: str, *parts: str) -> Path:
    """A file inside an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    assert found is not None and found.submodule_search_locations, f"{package} is not installed"
    file = Path(found.submodule_search_locations[0]).joinpath(*parts)
    assert file.is_file(), f"{package} does not carry {'/'.join(parts)}"
    return file
