"""Opening TorchScript archives: in the converter child only.

An archive is a program: its code runs when it is called, and `__setstate__` while it is opened.
The language reaches numbers and texts, not the machine, but for a few operators; an archive that
names one of these is refused, before it is opened, by its sources, which are the only form of code
that is read from it.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

from slipstream.adapters.base import missing_package
from slipstream.errors import ModelLoadError, UnsafeModelError

_OPERATOR = re.compile(r"\b(?:torch|ops\.\w+)\.(\w+)\s*\(")
_REFUSED = frozenset(("from_file", "save", "load", "_save", "_load"))
"""Operators that read or write files."""
_MOST_SOURCE_BYTES = 64 << 20


def require_harmless(path: Path) -> None:
    """Refuses an archive whose code names an operator that reaches files.

    Raises:
        UnsafeModelError: it does; names the operator.
        ModelLoadError: the archive is damaged, or its code is too long.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [one for one in archive.infolist() if _is_source(one.filename)]
            if sum(entry.file_size for entry in entries) > _MOST_SOURCE_BYTES:
                raise ModelLoadError(f"the code in it is longer than {_MOST_SOURCE_BYTES} bytes")
            for entry in entries:
                source = archive.read(entry).decode("utf-8", "replace")
                for name in _OPERATOR.findall(source):
                    if name in _REFUSED:
                        raise UnsafeModelError(
                            f"the TorchScript archive calls the operator {name!r}, which reaches "
                            "files: no model needs that to answer"
                        )
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise ModelLoadError(f"the TorchScript archive is damaged: {error}") from error


def _is_source(name: str) -> bool:
    return "/code/" in name and name.endswith(".py")


def open_script(path: Path) -> Any:
    """The module in an archive, ready to answer on the CPU.

    Raises:
        MissingDependencyError: no torch.
        UnsafeModelError, ModelLoadError: as `require_harmless`; or it does not open.
    """
    require_harmless(path)
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", "torch", error) from error
    try:
        module = load_script(path)
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelLoadError(
            f"torch {torch.__version__} cannot open the TorchScript archive: "
            f"{str(error).strip().splitlines()[0][:300]}"
        ) from error
    if not hasattr(module, "forward"):
        raise ModelLoadError("the TorchScript module has no method forward()")
    return module


def load_script(path: Path) -> Any:
    """A module that is known to be harmless, ready to answer on the CPU."""
    from torch import jit

    load: Any = jit.load
    return load(str(path), map_location="cpu").eval()
