"""Files of frameworks, by their marks: PyTorch, TensorFlow, TensorRT.

Archives are only listed, never unpacked, and nothing of them is run.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import NamedTuple

from slipstream.errors import ModelLoadError
from slipstream.models.onnx_files import fields
from slipstream.models.zips import open_zip

_MOST_ENTRIES = 10_000
PLAN_MARK, PLAN_HEADER_BYTES = b"ftrt", 28
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_TFLITE_AT, _TFLITE_MAGIC = 4, b"TFL3"
_KERAS_ENTRIES = {"config.json", "metadata.json", "model.weights.h5"}
_SCHEMA_VERSION, _META_GRAPHS = 1, 2  # fields of TensorFlow's SavedModel message


class Container(NamedTuple):
    """What a file is."""

    kind: str
    """``torchscript``, ``torch-export``, ``torch-package``, ``torch-save``, ``tensorrt``,
    ``keras``, ``keras-h5``, ``tflite`` or ``saved-model``."""
    library: str
    """The documented type."""
    what: str
    """For messages: "a TorchScript archive"."""


def container_of(path: Path, head: bytes) -> Container | None:
    """The framework that wrote a file; None for any other file.

    Raises:
        ModelLoadError: a framework's file that holds no model (weights alone, a damaged archive).
    """
    if head.startswith(PLAN_MARK):
        if len(head) < PLAN_HEADER_BYTES:
            raise ModelLoadError(
                f"{path.name} is a TensorRT plan cut short: it has {len(head)} bytes, less than "
                "its header; copy it again"
            )
        return Container("tensorrt", "tensorrt", "a TensorRT engine")
    if head[_TFLITE_AT : _TFLITE_AT + 4] == _TFLITE_MAGIC:
        return Container("tflite", "tensorflow", "a TFLite model")
    if head.startswith(_HDF5_MAGIC):
        return _of_hdf5(path)
    if head.startswith(b"PK\x03\x04"):
        return _of_zip(path)
    if _is_saved_model(path):
        return Container("saved-model", "tensorflow", "a TensorFlow SavedModel")
    return None


def _of_hdf5(path: Path) -> Container:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        has_network = data.find(b"model_config") >= 0
    if not has_network:
        raise ModelLoadError(
            f"{path.name} is an HDF5 file without a Keras model: if it holds weights alone, save "
            "the whole model with model.save()"
        )
    return Container("keras-h5", "tensorflow", "a Keras model in HDF5")


def _of_zip(path: Path) -> Container:
    try:
        with open_zip(path) as archive:
            names = archive.namelist()
    except ModelLoadError as error:
        raise ModelLoadError(f"{path.name} cannot be opened: {error.message}") from error
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{path.name} is a damaged zip archive") from error
    if set(names) >= _KERAS_ENTRIES:
        return Container("keras", "tensorflow", "a Keras model")
    torch = _of_torch(names)
    if torch is not None:
        return torch
    last = {name.rpartition("/")[2] for name in names}
    if "saved_model.pb" in last:
        raise ModelLoadError(
            f"{path.name} is a zip archive with a SavedModel in it: unpack it, and give the path "
            "of the folder"
        )
    raise ModelLoadError(f"{path.name} is a zip archive, not a model")


def _of_torch(names: list[str]) -> Container | None:
    """Archives of PyTorch have everything in one folder."""
    inner = {name.partition("/")[2] for name in names}
    if any(name.startswith("data/aotinductor/") and name.endswith(".so") for name in inner):
        return Container("torch-package", "pytorch", "an AOTInductor package (.pt2)")
    if "archive_format" in inner or "serialized_exported_program.json" in inner:
        return Container("torch-export", "pytorch", "an exported PyTorch program (.pt2)")
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return Container("torchscript", "pytorch", "a TorchScript archive")
    if "data.pkl" in inner:
        return Container("torch-save", "pytorch", "a file of torch.save")
    return None


def _is_saved_model(path: Path) -> bool:
    """Whether a file is one protobuf message with the fields of TensorFlow's SavedModel."""
    seen = set()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            for number, wire, _, _ in fields(data, 0, len(data)):
                if (number, wire) not in ((_SCHEMA_VERSION, 0), (_META_GRAPHS, 2)):
                    return False
                seen.add(number)
        except ValueError:
            return False
    return _META_GRAPHS in seen


def saved_model_files(path: Path) -> list[tuple[str, Path]]:
    """The variables of a SavedModel: (name relative to its folder, file), sorted.

    Assets are left out: nothing that is served may read them.

    Raises:
        ModelLoadError: they are not beside it, or too many.
    """
    root = path.parent.resolve()
    found = []
    for file in sorted((path.parent / "variables").glob("variables.*")):
        if not file.resolve().is_relative_to(root) or not file.is_file():
            raise ModelLoadError(f"the SavedModel's {file.name} lies outside of its own folder")
        found.append((f"variables/{file.name}", file))
    if len(found) > _MOST_ENTRIES:
        raise ModelLoadError("the SavedModel has too many files of variables")
    return found
