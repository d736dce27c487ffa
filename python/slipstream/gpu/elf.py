"""Which libraries a shared library names as needed, read from its file: nothing is loaded.

Only what dynamic linkers read is read (the program headers and the dynamic section), of 64-bit
little-endian ELF files; of a library of hundreds of megabytes that is a few pages.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_LOAD, _DYNAMIC = 1, 2
"""Types of segments."""
_END, _NEEDED, _STRINGS = 0, 1, 5
"""Tags of the dynamic section: its end, a library, the address of the names."""
_MOST_ENTRIES = 4096
_LONGEST_NAME = 255


def needed(library: Path) -> list[str]:
    """Names of the libraries that the dynamic linker loads with this one, in their order.

    Empty for what is no such file, or a damaged one.
    """
    try:
        with (
            library.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return _needed(data)
    except (OSError, ValueError, OverflowError, struct.error):  # no file is trusted to be one
        return []


def _needed(data: mmap.mmap) -> list[str]:
    if data[:6] != b"\x7fELF\x02\x01":
        return []
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = [struct.unpack_from("<IIQQQQ", data, table + size * i) for i in range(count)]
    dynamic = next((one for one in segments if one[0] == _DYNAMIC), None)
    if dynamic is None:
        return []
    entries: list[tuple[int, int]] = []
    for number in range(min(dynamic[5] // 16, _MOST_ENTRIES)):
        tag, value = struct.unpack_from("<qQ", data, dynamic[2] + 16 * number)
        if tag == _END:
            break
        entries.append((tag, value))
    address = next((value for tag, value in entries if tag == _STRINGS), None)
    for kind, _, offset, begin, _, length in segments:
        if kind == _LOAD and address is not None and begin <= address < begin + length:
            names = offset + address - begin
            return [_text(data, names + value) for tag, value in entries if tag == _NEEDED]
    return []


def _text(data: mmap.mmap, begin: int) -> str:
    end = data.find(b"\0", begin, begin + _LONGEST_NAME + 1)
    if end < 0:
        raise ValueError("a name without an end")
    return data[begin:end].decode("utf-8", "replace")
