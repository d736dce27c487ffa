"""Opening programs of ``torch.export`` (``.pt2``): in the converter child only.

An exported program is data, but ``torch.export.load`` reads parts of an archive as pickles, others
as Python (`torch_program`), and compiles and loads machine code that it finds there. So torch gets
an archive that was written here: of entries with the names that ``torch.export.save`` gives them,
and of the values that were checked.
"""

from __future__ import annotations

import io
import re
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from slipstream.adapters import torch_archive
from slipstream.adapters.base import missing_package
from slipstream.adapters.torch_archive import Entries
from slipstream.adapters.torch_pickle import SAVED, globals_in, is_storage
from slipstream.adapters.torch_program import checked_program, decoded
from slipstream.errors import ModelLoadError, UnsafeModelError

_WHAT = "the exported program"
_GRAPH = "models/model.json"
_EXAMPLE = "data/sample_inputs/model.pt"
_TENSORS = {
    "data/weights/model_weights_config.json": re.compile(r"data/weights/weight_\d+", re.ASCII),
    "data/constants/model_constants_config.json": re.compile(
        r"data/constants/tensor_\d+", re.ASCII
    ),
}
"""List of tensors → names of the files that it may name. Objects of classes have other names."""
_NAMES = torch_archive.names(
    r"archive_format",
    r"archive_version",
    *map(re.escape, (_GRAPH, _EXAMPLE, *_TENSORS)),
    *(tensors.pattern for tensors in _TENSORS.values()),
    r"extra/.+",
)
_MOST_JSON_BYTES = 256 << 20
_MOST_EXAMPLE_BYTES = 1 << 30
_MOST_PICKLE_BYTES = 64 << 20
_SAFE_GLOBALS = frozenset(
    (
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("collections", "OrderedDict"),
    )
)


def require_harmless(path: Path) -> None:
    """Refuses an archive with parts that torch would run; puts the checked one in its place.

    Args:
        path: A private copy of the archive.

    Raises:
        UnsafeModelError: there is one; names it.
        ModelLoadError: the archive is damaged, or too large.
    """
    with torch_archive.opened(path, _NAMES, _WHAT) as entries:
        replaced = {
            name: _checked_list(entries, name, tensors) for name, tensors in _TENSORS.items()
        }
        replaced[_GRAPH] = checked_program(entries.read(_GRAPH, _MOST_JSON_BYTES))
        replaced[_EXAMPLE] = _checked_example(entries.read(_EXAMPLE, _MOST_EXAMPLE_BYTES))
        kept = [name for name in entries if not name.startswith("extra/")]
        torch_archive.replace(path, partial(entries.write, names=kept, replaced=replaced))


def _checked_list(entries: Entries, name: str, tensors: re.Pattern[str]) -> bytes:
    """The list of weights or constants: each is the bytes of a file beside it, and no pickle."""
    config = decoded(entries.read(name, _MOST_JSON_BYTES), name)
    try:
        listed = list(config["config"].values())
        places = {f"{name.rpartition('/')[0]}/{one['path_name']}" for one in listed}
        plain = all(one["use_pickle"] is False and one["tensor_meta"] for one in listed)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(f"{name} in the archive is no list of tensors") from error
    if not plain:
        raise UnsafeModelError(f"{_WHAT} keeps values in pickles ({name})")
    for place in places:
        if not tensors.fullmatch(place):
            raise UnsafeModelError(
                f"{_WHAT} keeps a value in {place[:100]!r}, which is no file of a tensor"
            )
        if place not in entries:
            raise ModelLoadError(f"{_WHAT} is damaged: it has no {place}")
    return msgspec.json.encode(config)


def _checked_example(data: bytes) -> bytes:
    """The example that the program was exported with, written anew.

    torch.save has written it: an archive whose pickle names tensors and nothing else.
    """
    if not data.startswith(b"PK\x03\x04"):  # torch would take it for its format before 1.6
        raise UnsafeModelError(
            f"{_EXAMPLE} in {_WHAT} is no archive of torch.save: export it anew with torch"
        )
    written = io.BytesIO()
    with torch_archive.opened(io.BytesIO(data), SAVED, f"{_EXAMPLE} in {_WHAT}") as entries:
        for module, what in globals_in(entries.read("data.pkl", _MOST_PICKLE_BYTES)):
            if not is_storage(module, what) and (module, what) not in _SAFE_GLOBALS:
                raise UnsafeModelError(
                    f"{_EXAMPLE} in {_WHAT} is a pickle that names {module}.{what}"
                )
        entries.write(written, list(entries), {})
    return written.getvalue()


def open_program(path: Path) -> Any:
    """The ``torch.export.ExportedProgram`` in an archive.

    Args:
        path: A private copy of the archive, which is replaced (`require_harmless`).

    Raises:
        MissingDependencyError: no torch.
        UnsafeModelError, ModelLoadError: as `require_harmless`; or it does not open.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_package("torch", "torch", error) from error
    require_harmless(path)
    try:
        with path.open("rb") as stream:
            return torch.export.load(stream)
    except Exception as error:  # the reader raises what it likes
        raise ModelLoadError(
            f"torch {torch.__version__} cannot open the exported program "
            f"({type(error).__name__}: {str(error)[:300]})"
        ) from error
