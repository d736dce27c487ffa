"""Opening TorchScript archives: in the converter child only.

An archive is a program: its code runs when it is called, and `__setstate__` while it is opened.
The language reaches numbers and texts, not the machine, but for a few operators. So before torch
opens an archive to use it, its names are checked and it is written anew (`torch_archive`), its
sources are read as Python, and what torch compiles of them is looked through (`torch_graphs`).
"""

from __future__ import annotations

import ast
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from slipstream.adapters import torch_archive
from slipstream.adapters.base import missing_package
from slipstream.adapters.torch_archive import Entries
from slipstream.adapters.torch_graphs import (
    HOLDER_FILE,
    classes_in,
    import_module,
    refuse_class,
    refuse_operator,
    require_harmless_graphs,
    with_nothing_to_run,
)
from slipstream.errors import ModelLoadError, UnsafeModelError

_WHAT = "the TorchScript archive"
_MODULE = r"code/(?:\w+/)*\w+\.py"
_NAMES = torch_archive.names(
    _MODULE,
    _MODULE + r"\.debug_pkl",
    r"(?:data|constants|traced_inputs)(?:\.pkl|/\d+)",
    r"extra/.+",
)
_KEPT = torch_archive.names(_MODULE, r"(?:data|constants)(?:\.pkl|/\d+)")
"""What an answer depends on; where a line of code came from is not."""
_MOST_SOURCE_BYTES = 64 << 20
_MOST_PICKLE_BYTES = 256 << 20


def require_harmless(path: Path) -> None:
    """Refuses an archive that does more than compute, and puts the checked one in its place.

    What stands at ``path`` afterwards has been written here, of entries that were checked. Nothing
    of the archive has run.

    Args:
        path: A private copy of the archive.

    Raises:
        MissingDependencyError: no torch.
        UnsafeModelError: it has entries that torch does not write, or names an operator or a class
            that reaches files, processes, the network or memory.
        ModelLoadError: it is damaged, does not compile, or its code is too long.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", "torch", error) from error
    compiled = path.with_name(f"{path.name}.compiled")
    with torch_archive.opened(path, _NAMES, _WHAT) as entries:
        kept = [name for name in entries if _KEPT.fullmatch(name)]
        _check_sources(entries, [name for name in kept if name.startswith("code/")])
        _check_constants(entries)
        classes = classes_in(entries.read("data.pkl", _MOST_PICKLE_BYTES))
        try:
            entries.write(compiled, kept, with_nothing_to_run(classes))
            require_harmless_graphs(import_module(compiled)[1])
        except (RuntimeError, ValueError) as error:
            raise _cannot_open(torch, error) from error
        finally:
            compiled.unlink(missing_ok=True)
        torch_archive.replace(path, partial(entries.write, names=kept, replaced={}))


def _check_sources(entries: Entries, names: list[str]) -> None:
    left = _MOST_SOURCE_BYTES
    for name in names:
        if name.casefold() == HOLDER_FILE:
            raise UnsafeModelError(f"{_WHAT} contains {name}, a name that is not free")
        source = entries.read(name, left)
        left -= len(source)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ModelLoadError(
                f"{name} in {_WHAT} is not written as torch.jit.save does ({error})"
            ) from error
        _check_tree(tree)


def _check_tree(tree: ast.Module) -> None:
    """Refuses operators by the names that the sources give them.

    ``torch.add`` and ``ops.aten.add`` are operators, ``__torch__.a.b`` is what the archive defines.
    `torch` and `ops` may not be anything else than the beginning of such a name.
    """
    begun = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in ("torch", "ops"):
            begun -= 1
        elif isinstance(node, ast.Attribute):
            path = _dotted(node)
            if len(path) == 2 and path[0] in ("torch", "ops"):
                begun += 1
            if len(path) == 2 and path[0] == "torch":
                refuse_operator(f"aten::{path[1]}")
            elif len(path) == 3 and path[0] == "ops":
                refuse_operator(f"{path[1]}::{path[2]}")
            refuse_class(".".join(path))
    if begun:
        raise UnsafeModelError(
            f"the code in {_WHAT} uses torch or ops otherwise than in the name of an operator, "
            "which torch.jit.save does not write"
        )


def _dotted(node: ast.expr) -> list[str]:
    """The parts of ``a.b.c``; nothing for what is no such name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _check_constants(entries: Entries) -> None:
    """Constants are read before any code is compiled, so that no objects with code may be there."""
    for module, name in classes_in(entries.read("constants.pkl", _MOST_PICKLE_BYTES)):
        if not module.startswith("__torch__.torch.classes."):
            raise UnsafeModelError(
                f"{_WHAT} has an object of {module}.{name} among its constants, which "
                "torch.jit.save does not write"
            )


def open_script(path: Path) -> Any:
    """The module in an archive, ready to answer on the CPU.

    Args:
        path: A private copy of the archive, which is replaced (`require_harmless`).

    Raises:
        MissingDependencyError: no torch.
        UnsafeModelError, ModelLoadError: as `require_harmless`; or it does not open.
    """
    require_harmless(path)
    import torch

    try:
        module = load_script(path)
    except (RuntimeError, ValueError, OSError) as error:
        raise _cannot_open(torch, error) from error
    if not hasattr(module, "forward"):
        raise ModelLoadError("the TorchScript module has no method forward()")
    return module


def _cannot_open(torch: Any, error: Exception) -> ModelLoadError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ModelLoadError(f"torch {torch.__version__} cannot open {_WHAT}: {first[:300]}")


def load_script(path: Path) -> Any:
    """A module whose archive is known to be harmless, ready to answer on the CPU.

    Raises:
        UnsafeModelError: it is not: what was compiled of it says so.
    """
    module, functions = import_module(path)
    require_harmless_graphs(functions)
    return module.eval()
