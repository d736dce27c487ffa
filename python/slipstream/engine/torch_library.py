"""Where the torch backend is: a library that was compiled against the torch installed here.

libtorch has no stable ABI for what the backend needs of it, so no wheel can bring it;
``slipstream build-backend torch`` compiles it from the sources that the wheel brings. It is kept
under the versions it was made for, beside the compiled module if that folder can be written to,
else in the user's cache.
"""

from __future__ import annotations

import importlib.util
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from slipstream._version import __version__

LIBRARY = "libslipstream_backend_torch.so"
EXAMPLE_FILE = "example.pt"
"""Beside the library: the model `example` as TorchScript (`slipstream.example`)."""
SOURCES_FILE = "SOURCES.sha256"
"""Beside the library: the digest of the sources that it was made from."""


def torch_folder() -> Path | None:
    """The installed torch package, which is not imported; None where there is none."""
    found = importlib.util.find_spec("torch")
    for location in (found.submodule_search_locations or []) if found else []:
        if Path(location, "lib", "libtorch_cpu.so").is_file():
            return Path(location)
    return None


def torch_version() -> str | None:
    """The version of the installed torch; None where there is none."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return None


def library_folders(module_folder: Path) -> list[Path]:
    """Where the library for this torch may be, best first; empty without torch.

    Args:
        module_folder: Of the compiled module.
    """
    torch = torch_version()
    if torch is None or torch_folder() is None:
        return []
    name = f"torch-{torch}-slipstream-{__version__}"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [module_folder / "backends" / name, Path(base) / "slipstream" / "backends" / name]
