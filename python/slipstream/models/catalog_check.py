"""Holds an entry of ``models.json`` against the files that are there, without loading anything."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from slipstream.errors import InvalidInputError, ModelLoadError, SlipstreamError
from slipstream.models.artifacts import sha256_of
from slipstream.models.catalog import ModelEntry
from slipstream.models.detect import Kind
from slipstream.models.ensembles import read_ensemble
from slipstream.models.paths import resolve_model_path
from slipstream.models.prepare import TYPE_ALIASES, PrepareOptions, check_digest, recognised
from slipstream.models.sidecar import read_sidecar
from slipstream.models.tensorrt_table import tensorrt_table_of


class Checked(NamedTuple):
    """What came of it."""

    entry: ModelEntry
    size_bytes: int | None
    """Of the file; None where there is none."""
    kind: str | None
    """What the file holds; None where that is not known."""
    problem: str | None
    """Why it would not be served; None where nothing speaks against it."""
    backends: tuple[str, ...] = ()
    """Those that a file of that kind may come to run in; none where that is not known."""
    own_device: str | None = None
    """That the file beside a plan names."""


_BACKENDS: dict[Kind, tuple[str, ...]] = {
    "onnx": ("onnx",),
    "tensorrt": ("tensorrt",),
    "custom": ("process",),
    "torchscript": ("torch", "process"),
    "torch-export": ("torch", "process"),
    "torch-package": ("torch", "process"),
    "torch-save": ("torch", "process"),
    **dict.fromkeys(("pickle", "xgboost", "lightgbm"), ("forest", "onnx", "process")),
    **dict.fromkeys(("keras", "keras-h5", "tflite", "saved-model"), ("onnx", "process")),
}


def check_entry(entry: ModelEntry, model_dir: Path, *, allow_custom_code: bool) -> Checked:
    """Whether a file is there, inside the wall, the one that is pinned, and of the type said.

    A pickle is not opened: whether it may be, and what it is worth, is seen when it is loaded.
    """
    size: int | None = None
    try:
        file = resolve_model_path(entry.model_path, model_dir)
        size = file.stat().st_size
        kind, backends = _kind_of(file, entry, model_dir, allow_custom_code)
        read_sidecar(file)
        own_device = tensorrt_table_of(file).device if "tensorrt" in backends else None
    except (ModelLoadError, InvalidInputError) as error:
        return Checked(entry, size, None, error.message)
    except (SlipstreamError, OSError) as error:
        return Checked(entry, size, None, str(error))
    return Checked(entry, size, kind, None, backends, own_device)


def _kind_of(
    file: Path, entry: ModelEntry, model_dir: Path, allow_custom_code: bool
) -> tuple[str, tuple[str, ...]]:
    digest = sha256_of(file)
    if entry.sha256 is not None:
        check_digest(file, digest, entry.sha256)
    if read_ensemble(file) is not None:
        if entry.model_type not in ("auto", "ensemble"):
            raise ModelLoadError(f"{file.name} is an ensemble file, not {entry.model_type!r}")
        return "an ensemble file", ()
    found = recognised(
        file,
        digest,
        PrepareOptions(
            model_type=TYPE_ALIASES.get(entry.model_type, entry.model_type),
            allow_custom_code=allow_custom_code,
            model_dir=model_dir,
            sha256=entry.sha256,
        ),
    )
    is_built = entry.model_type == "tensorrt"  # of an ONNX file
    backends = ("tensorrt",) if is_built else _BACKENDS.get(found.kind, ())
    return found.what or found.library or found.kind, backends
