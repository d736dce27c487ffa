"""Compressed model files (joblib's ``compress=``): recognised by content, unpacked with a bound."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from slipstream.errors import MissingDependencyError, ModelLoadError

_CHUNK_BYTES = 1 << 20
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"]\x00\x00", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"x\x01", "zlib"),
    (b"x\x5e", "zlib"),
    (b"x\x9c", "zlib"),
    (b"x\xda", "zlib"),
)


def compression_of(head: bytes) -> str | None:
    """The compressor whose magic number ``head`` opens with."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def unpacked_head(path: Path, method: str, size: int) -> bytes:
    """The first ``size`` bytes of the content, or fewer. Raises `ModelLoadError` when corrupt."""
    head = b""
    for chunk in _chunks(path, method):
        head += chunk
        if len(head) >= size:
            break
    return head[:size]


def unpack(path: Path, method: str, target: Path, most_bytes: int) -> None:
    """Write the content of ``path`` to ``target``.

    Raises:
        ModelLoadError: Corrupt, or more than ``most_bytes`` when unpacked.
        MissingDependencyError: lz4 is not installed.
    """
    written = 0
    with target.open("wb") as out:
        for chunk in _chunks(path, method):
            written += len(chunk)
            if written > most_bytes:
                raise ModelLoadError(
                    f"the file unpacks to more than {most_bytes >> 20} MiB; save it uncompressed"
                )
            out.write(chunk)


def _chunks(path: Path, method: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as packed:
            if method == "zlib":
                yield from _zlib_chunks(packed)
                return
            with _opener(method)(packed) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    yield chunk
    except (OSError, EOFError, zlib.error, lzma.LZMAError, RuntimeError) as error:
        raise ModelLoadError(f"the {method}-compressed file is corrupt: {error}") from error


def _zlib_chunks(packed: BinaryIO) -> Iterator[bytes]:
    machine = zlib.decompressobj()
    data = packed.read(_CHUNK_BYTES)
    while data:
        chunk = machine.decompress(data, _CHUNK_BYTES)
        if chunk:
            yield chunk
        data = machine.unconsumed_tail or packed.read(_CHUNK_BYTES)
    if not machine.eof:
        raise ModelLoadError("the zlib-compressed file is cut short")


def _opener(method: str) -> Callable[[BinaryIO], IO[bytes]]:
    plain: dict[str, Callable[..., Any]] = {
        "gzip": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
        "bz2": bz2.BZ2File,
        "xz": lzma.LZMAFile,
    }
    if method in plain:
        return plain[method]
    try:
        import lz4.frame
    except ImportError as error:
        raise MissingDependencyError(
            "the file is compressed with lz4: pip install lz4, or save it with compress='zlib'"
        ) from error
    return lambda file: lz4.frame.open(file, "rb")
