"""Zip archives of strangers: what opening one may cost, and what fits together."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch

from slipstream.errors import ModelLoadError
from slipstream.models.containers import container_of
from slipstream.models.zips import MOST_DIRECTORY_BYTES, MOST_ENTRIES, open_zip


def archive_of(*names: str) -> bytearray:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return bytearray(written.getvalue())


def crowd(count: int, declared: int) -> bytes:
    """An archive that lists ``count`` entries, and says that it has ``declared``; of any size."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *(0,) * 6, *(0,) * 3, 3, *(0,) * 4, 0, 0)
    listed = (entry + b"a/b") * count
    head = b"PK\x03\x04" + bytes(26)
    end64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, declared, declared, len(listed), len(head)
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(head) + len(listed), 1)
    most = 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *most, 0)
    return head + listed + end64 + locator + end


@pytest.mark.parametrize("declared", [1_000_000, 1, MOST_ENTRIES])
def test_a_crowd_of_entries_is_refused_before_it_is_listed(tmp_path, declared):
    file = tmp_path / "many.pt"
    file.write_bytes(crowd(1_000_000, declared))
    tracemalloc.start()
    try:
        with pytest.raises(ModelLoadError, match="entries"):
            container_of(file, b"PK\x03\x04")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_number_of_entries_that_is_not_true_is_refused():
    assert MOST_ENTRIES < 30_000 < MOST_DIRECTORY_BYTES // 49
    for count, declared in ((30_000, 30_000), (30_000, 5), (5, 6)):
        with pytest.raises(ModelLoadError, match="entries"):
            open_zip(io.BytesIO(crowd(count, declared)))
    with open_zip(io.BytesIO(crowd(5, 5))) as archive:
        assert len(archive.namelist()) == 5


def test_archives_as_they_are_written_are_opened(tmp_path):
    with open_zip(io.BytesIO(archive_of("a/b", "a/c"))) as archive:
        assert archive.namelist() == ["a/b", "a/c"]
    torch.save({"x": torch.ones(3)}, tmp_path / "x.pt")
    with open_zip(tmp_path / "x.pt") as archive:
        assert "x/data.pkl" in archive.namelist()


def test_archives_whose_parts_do_not_fit_are_refused(tmp_path: Path):
    whole = archive_of("a/b", "a/c")
    before, behind, cut, moved = bytes(8) + whole, whole + bytes(8), whole[:-1], bytearray(whole)
    moved[-6] += 1
    for data in (before, behind, cut, moved, whole[:10], bytearray(b"PK\x03\x04")):
        with pytest.raises(ModelLoadError, match="damaged"):
            open_zip(io.BytesIO(data))
    (tmp_path / "cut.pt").write_bytes(cut)
    with pytest.raises(ModelLoadError, match=r"cut\.pt cannot be opened"):
        container_of(tmp_path / "cut.pt", b"PK\x03\x04")
