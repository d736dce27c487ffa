"""The files that belong to an ONNX model: large ones keep their weights beside the graph.

Only as much of protobuf is read here as it takes to find the names: ``TensorProto.external_data``
of initializers, constants and subgraphs. The server process does this, so it needs no onnx package
and trusts no length that it reads.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from slipstream.errors import ModelLoadError, UnsafeModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 16
_MOST_FILES = 4096
# Field numbers of onnx.proto, by message: which fields lead to tensors.
_MODEL = {7: "graph"}
_GRAPH = {1: "node", 5: "tensor"}
_NODE = {5: "attribute"}
_ATTRIBUTE = {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"}
_TENSOR = {13: "entry"}
_FIELDS = {
    "model": _MODEL, "graph": _GRAPH, "node": _NODE, "attribute": _ATTRIBUTE, "tensor": _TENSOR
}  # fmt: skip
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def varint(data: bytes | mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """(value, position after it). Raises ValueError if there is no whole one before ``end``."""
    value = 0
    for place in range(10):
        if at >= end:
            raise ValueError("cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at
    raise ValueError("number too long")


def fields(data: bytes | mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(field, wire type, start, end) of each field of the message in ``data[at:end]``.

    Raises:
        ValueError: It is no protobuf message.
    """
    while at < end:
        tag, at = varint(data, at, end)
        wire = tag & 7
        if wire == _BYTES:
            length, at = varint(data, at, end)
        elif wire == _VARINT:
            length = varint(data, at, end)[1] - at
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("unknown wire type")
        if length > end - at:
            raise ValueError("a field is longer than its message")
        yield tag >> 3, wire, at, at + length
        at += length


def companions(path: Path) -> list[tuple[str, Path]]:
    """The weight files of an ONNX model: (name relative to the model, file), sorted.

    Raises:
        UnsafeModelError: A name leads out of the model's folder.
        ModelLoadError: A file is missing, or the model is damaged.
    """
    names: set[str] = set()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            _collect(data, 0, len(data), "model", names, 0)
        except (ValueError, UnicodeDecodeError) as error:
            raise ModelLoadError(f"{path.name} is a damaged ONNX file ({error})") from error
    return [(name, _beside(path, name)) for name in sorted(names)]


def _collect(data: mmap.mmap, at: int, end: int, kind: str, names: set[str], depth: int) -> None:
    if depth > _DEEPEST * 3:
        raise ValueError("subgraphs nested too deep")
    wanted = _FIELDS[kind]
    for number, wire, start, stop in fields(data, at, end):
        inner = wanted.get(number)
        if inner is None or wire != _BYTES:
            continue
        if inner != "entry":
            _collect(data, start, stop, inner, names, depth + 1)
            continue
        entry = {n: data[a:b] for n, w, a, b in fields(data, start, stop) if w == _BYTES}
        if entry.get(_ENTRY_KEY) == b"location":
            names.add(entry.get(_ENTRY_VALUE, b"").decode())
            if len(names) > _MOST_FILES:
                raise ValueError(f"more than {_MOST_FILES} weight files")


def _beside(path: Path, name: str) -> Path:
    relative = PurePosixPath(name)
    file = path.parent / relative
    inside = not relative.is_absolute() and ".." not in relative.parts and relative.parts
    if not inside or not file.resolve().is_relative_to(path.parent.resolve()):
        raise UnsafeModelError(f"{path.name} keeps weights in {name!r}, outside its own folder")
    if not file.is_file():
        raise ModelLoadError(f"{path.name} keeps weights in {name!r}, which is not beside it")
    return file
