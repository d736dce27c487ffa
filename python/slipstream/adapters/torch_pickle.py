"""Opening files of ``torch.save``: in the converter child only.

Such a file is a zip archive with a pickle in it, whose tensors lie beside it. What guards other
pickles guards this one (`slipstream.models.safe_pickle`): every global that it names must be
admitted before anything is built, and the machine that builds is ours; torch gives only the
storages. ``weights_only`` is not relied on: it has been got around before.
"""

from __future__ import annotations

import inspect
import pickletools
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from slipstream.adapters import torch_archive
from slipstream.adapters.base import missing_package
from slipstream.errors import ModelLoadError, UnsafeModelError
from slipstream.models.pickle_scan import modern_name
from slipstream.models.safe_globals import Policy, Use, resolve
from slipstream.models.safe_pickle import SafeUnpickler

_MOST_PICKLE_BYTES = 64 << 20
_PROTOCOL = 2
"""That torch.save writes."""
SAVED = torch_archive.names(r"data\.pkl", r"data/\d+")
"""Names that torch.save writes to an archive."""
_HELPERS = {
    ("torch._utils", "_rebuild_tensor_v2"): Use.CALL,
    ("torch._utils", "_rebuild_parameter"): Use.CALL,
    ("torch", "Size"): Use.CALL,
    ("torch", "device"): Use.CALL,
}
_FUNCTIONS = frozenset("relu gelu silu elu leaky_relu tanh sigmoid softplus softmax".split())
"""Of torch.nn.functional: kept as a layer's activation, never called by a pickle."""
_STORAGE = re.compile(r"[A-Za-z0-9]*Storage")
_ONE_NAME = frozenset(("GLOBAL",))
_SEVERAL_NAMES = frozenset(("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"))
"""Of the default protocol of torch.save there are none."""


def globals_in(data: bytes) -> list[tuple[str, str]]:
    """What a pickle of torch.save names, in order.

    Raises:
        UnsafeModelError: it names things in ways that torch.save does not.
        ModelLoadError: it is no pickle.
    """
    found = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _ONE_NAME:
                module, _, name = str(argument).partition(" ")
                found.append((module, name))
            elif opcode.name in _SEVERAL_NAMES:
                raise UnsafeModelError(
                    "the pickle names things as torch.save does not by default: save it with "
                    "pickle_protocol=2"
                )
    except UnsafeModelError:
        raise
    except Exception as error:  # genops raises ValueError, IndexError, UnicodeDecodeError, …
        raise ModelLoadError(f"the pickle is damaged ({type(error).__name__})") from error
    return found


def is_storage(module: str, name: str) -> bool:
    """Whether a global stands for the kind of a storage, which torch itself looks up."""
    return module in ("torch", "torch.storage") and bool(_STORAGE.fullmatch(name))


def open_saved(path: Path, custom_root: Path | None) -> Any:
    """The object in a file of ``torch.save``.

    Args:
        path: A private copy of the file, which is replaced by one of its checked parts.
        custom_root: Folder of the operator's modules; None unless custom code is allowed.

    Raises:
        MissingDependencyError: no torch.
        UnsafeModelError: it names something that is not admitted; nothing was executed.
        ModelLoadError: it is damaged, or does not fit the installed torch.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", "torch", error) from error
    policy = Policy(custom_root)
    for module, name in globals_in(_checked(path)):
        if not is_storage(module, name):
            _resolve(*modern_name(module, name, _PROTOCOL), policy)

    class Unpickler(SafeUnpickler):
        """What ``torch.load`` gets in the place of pickle's own."""

        def __init__(self, stream: Any, **_: Any) -> None:
            super().__init__(stream, policy, 0)

        def resolve(self, module: str, name: str) -> tuple[Any, Use]:
            return _resolve(module, name, policy)

    try:
        return torch.load(
            path,
            map_location="cpu",
            pickle_module=SimpleNamespace(Unpickler=Unpickler, __name__="slipstream"),
            weights_only=False,
        )
    except (UnsafeModelError, ModelLoadError, MemoryError):
        raise
    except Exception as error:  # torch raises what it likes
        raise ModelLoadError(
            f"torch {torch.__version__} cannot open the file ({type(error).__name__}: "
            f"{str(error)[:300]})"
        ) from error


def _checked(path: Path) -> bytes:
    """The one pickle in the archive, which is written anew in its place with nothing but tensors.

    torch would open an archive with code in it as TorchScript, whatever it was called.
    """
    with torch_archive.opened(path, SAVED, "the file of torch.save") as entries:
        data = entries.read("data.pkl", _MOST_PICKLE_BYTES)
        torch_archive.replace(path, partial(entries.write, names=list(entries), replaced={}))
    return data


def _resolve(module: str, name: str, policy: Policy) -> tuple[Any, Use]:
    """As `safe_globals.resolve`, and the layers of torch.nn."""
    import torch

    use = _HELPERS.get((module, name))
    if use is not None:
        owner = torch._utils if module == "torch._utils" else torch
        return getattr(owner, name), use
    if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
        return getattr(torch, name), Use.VALUE
    if module == "torch.nn.functional" and name in _FUNCTIONS:
        return getattr(torch.nn.functional, name), Use.VALUE
    if module.startswith("torch.nn.modules.") and "." not in name:
        owner = torch.nn.modules
        layer = getattr(getattr(owner, module.rpartition(".")[2], None), name, None)
        is_layer = inspect.isclass(layer) and issubclass(layer, torch.nn.Module)
        if is_layer and layer.__module__ == module:
            return layer, Use.CLASS
    return resolve(module, name, policy)
