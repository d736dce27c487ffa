"""Opening zip archives that strangers wrote: the cost is bounded before anything is read.

`zipfile` makes an object of every entry as soon as it opens a file, at many times the size of the
entry, and overlooks what does not fit together. So the records at the end of the file are read
first, and an archive must be laid out as the frameworks' own writers do it.
"""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from slipstream.errors import ModelLoadError

MOST_ENTRIES = 20_000
MOST_DIRECTORY_BYTES = 4 << 20
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY_BYTES, _ENTRY_LENGTHS_AT = 46, 28
_MOST_16, _MOST_32 = 0xFFFF, 0xFFFFFFFF


def open_zip(source: Path | BinaryIO) -> zipfile.ZipFile:
    """An archive with a directory of moderate size at its very end.

    Args:
        source: The file, or its bytes, seekable.

    Raises:
        ModelLoadError: it has more than `MOST_ENTRIES` entries or more than
            `MOST_DIRECTORY_BYTES` bytes of them, or its parts do not fit together.
        OSError: it cannot be read.
    """
    if isinstance(source, Path):
        with source.open("rb") as stream:
            _require_moderate(stream)
    else:
        _require_moderate(source)
        source.seek(0)
    try:
        return zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error) as error:
        raise ModelLoadError(f"the zip archive is damaged: {error}") from error


def _require_moderate(stream: BinaryIO) -> None:
    declared, size, begin = _directory(stream)
    if size > MOST_DIRECTORY_BYTES or declared > MOST_ENTRIES:
        raise ModelLoadError(
            f"the zip archive lists {declared} entries in {size} bytes; at most {MOST_ENTRIES} in "
            f"{MOST_DIRECTORY_BYTES} bytes are opened: no model has as many"
        )
    stream.seek(begin)
    listed = stream.read(size)
    at = count = 0
    while at < size and count <= MOST_ENTRIES:
        if listed[at : at + 4] != b"PK\x01\x02" or at + _ENTRY_BYTES > size:
            raise ModelLoadError("the zip archive is damaged: its directory is cut short")
        at += _ENTRY_BYTES + sum(struct.unpack_from("<3H", listed, at + _ENTRY_LENGTHS_AT))
        count += 1
    if count != declared or at != size:  # zipfile believes the bytes, others the number
        raise ModelLoadError(
            f"the zip archive is damaged: it announces {declared} entries, and lists others"
        )


def _directory(stream: BinaryIO) -> tuple[int, int, int]:
    """How many entries, in how many bytes, from where on."""
    length = stream.seek(0, os.SEEK_END)
    end = length - _END.size
    if end < 0:
        raise ModelLoadError("the zip archive is damaged: it is cut short")
    stream.seek(end)
    mark, disk, first, here, count, size, begin, comment = _END.unpack(stream.read(_END.size))
    if mark != b"PK\x05\x06" or comment:
        raise ModelLoadError(
            "the zip archive is damaged: it does not end with its directory (cut short, or "
            "something was put behind it)"
        )
    behind = end
    found = _end64(stream, end)
    if found is not None:
        behind, (count64, size64, begin64) = found
        for short, most, long in (
            (count, _MOST_16, count64),
            (size, _MOST_32, size64),
            (begin, _MOST_32, begin64),
        ):
            if short not in (most, long):
                raise ModelLoadError("the zip archive is damaged: it has two different ends")
        count, size, begin = count64, size64, begin64
    elif here != count:
        raise ModelLoadError("the zip archive is damaged: it is one part of several")
    if disk or first or begin + size != behind:
        raise ModelLoadError("the zip archive is damaged: its directory is not where it should be")
    return count, size, begin


def _end64(stream: BinaryIO, end: int) -> tuple[int, tuple[int, int, int]] | None:
    """Where the end of a large archive begins, and count, size and begin that it tells."""
    at = end - _LOCATOR.size
    if at < _END64.size:
        return None
    stream.seek(at)
    mark, disk, offset, disks = _LOCATOR.unpack(stream.read(_LOCATOR.size))
    if mark != b"PK\x06\x07":
        return None
    stream.seek(at - _END64.size)
    read = _END64.unpack(stream.read(_END64.size))
    mark, length, _, _, this, first, here, count, size, begin = read
    fits = mark == b"PK\x06\x06" and length == _END64.size - 12 and offset == at - _END64.size
    if not fits or disk or disks > 1 or this or first or here != count:
        raise ModelLoadError("the zip archive is damaged: its two ends do not fit together")
    return offset, (count, size, begin)
