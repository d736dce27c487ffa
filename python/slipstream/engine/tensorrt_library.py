"""Where the tensorrt backend is, and where the TensorRT that it runs on.

The backend is in the wheel where TensorRT's headers were when that was built. Where they were not,
``slipstream build-backend tensorrt`` compiles it from the sources that the wheel brings, into a
folder beside the compiled module if that can be written to, else into the user's cache.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from slipstream._version import __version__
from slipstream.errors import MissingDependencyError

LIBRARY = "libslipstream_backend_tensorrt.so"
SOURCES_FILE = "SOURCES.sha256"
"""Beside a library that was compiled here: the digest of what it was made from."""
_RUNTIMES = (
    ("tensorrt_libs", "libnvinfer.so.*"),
    ("tensorrt_lean_libs", "libnvinfer_lean.so.*"),
)
"""Packages of the wheels, and what they bring, best first."""


def library_folders(module_folder: Path) -> list[Path]:
    """Where a library that was compiled here may be, best first.

    Args:
        module_folder: Of the compiled module.
    """
    name = f"tensorrt-slipstream-{__version__}"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [module_folder / "backends" / name, Path(base) / "slipstream" / "backends" / name]


def require_backend(module_folder: Path, *others: Path) -> None:
    """Refuses where there is no backend.

    Args:
        module_folder: Of the compiled module.
        others: More folders that backends are looked for in.

    Raises:
        MissingDependencyError: says what to do.
    """
    folders = [*others, module_folder / "backends", *library_folders(module_folder)]
    if any((folder / LIBRARY).is_file() for folder in folders):
        return
    raise MissingDependencyError(
        "a TensorRT engine needs the TensorRT backend, which is compiled where TensorRT's headers "
        "are: get them (Debian's libnvinfer-headers-dev, a container of NVIDIA's, or include/ of "
        "github.com/NVIDIA/TensorRT at the version that is installed), and run: slipstream "
        "build-backend tensorrt --include FOLDER; or export the model to ONNX and load that",
        package="tensorrt",
    )


def runtime_library() -> Path | None:
    """The runtime in the installed wheels, the full one or the lean one; nothing is imported.

    None where there is none: the backend then asks the system for it by its name.
    """
    for package, pattern in _RUNTIMES:
        found = importlib.util.find_spec(package)
        for location in (found.submodule_search_locations or []) if found else []:
            libraries = sorted(Path(location).glob(pattern))
            if libraries:
                return libraries[-1]
    return None
