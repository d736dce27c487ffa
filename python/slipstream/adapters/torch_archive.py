"""Zip archives of torch, read by their exact names and written anew: in the converter child only.

Readers of zip archives differ: in whose list of entries they believe, in letter case, in what they
do with two entries of one name. So torch never reads the archive that a stranger wrote. Its entries
are read here, every name must be one that torch itself writes, and what was checked is written to
a new archive, of which there is one reading only.
"""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from slipstream.errors import ModelLoadError, UnsafeModelError
from slipstream.models.zips import open_zip

ROOT = "archive"
"""Folder of everything in an archive that is written here."""
MARKS = (
    r"(?:version|byteorder|\.format_version|\.storage_alignment|"
    r"\.data/(?:version|serialization_id))"
)
"""Names below the root that every archive of torch may have, as a regular expression."""
_MOST_UNPACKED_BYTES = 256 << 20
_KNOWN_FLAGS = 0x0808
"""Sizes behind the data, names in UTF-8; the others encrypt or patch."""
_CHUNK_BYTES = 1 << 20


class Entries:
    """The entries of one open archive, by their names below its root."""

    def __init__(self, archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo]) -> None:
        """Of an archive whose names were checked."""
        self._archive = archive
        self._infos = infos

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def read(self, name: str, most: int) -> bytes:
        """The content of an entry.

        Args:
            name: Below the root.
            most: How many bytes it may have.

        Raises:
            ModelLoadError: it is not there, longer, or damaged.
        """
        info = self._infos.get(name)
        if info is None:
            raise ModelLoadError(f"the archive has no entry {name}: it is damaged, or no model")
        if info.file_size > most:
            raise ModelLoadError(f"{name} in the archive is longer than {most} bytes")
        with _told(name):
            return self._archive.read(info)

    def write(
        self, target: Path | BinaryIO, names: Iterable[str], replaced: Mapping[str, bytes]
    ) -> None:
        """A new archive of some of the entries, uncompressed.

        Args:
            target: Where it is written to.
            names: Which entries, in order.
            replaced: What stands in the place of entries, or is put behind them, by name.

        Raises:
            ModelLoadError: an entry is damaged.
        """
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
            kept = [name for name in names if name not in replaced]
            for name in kept:
                old, info = self._infos[name], zipfile.ZipInfo(f"{ROOT}/{name}")
                info.file_size = old.file_size
                with _told(name), self._archive.open(old) as source, new.open(info, "w") as sink:
                    shutil.copyfileobj(source, sink, _CHUNK_BYTES)
            for name, content in replaced.items():
                new.writestr(zipfile.ZipInfo(f"{ROOT}/{name}"), content)


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise ModelLoadError(f"{name} in the archive is damaged: {error}") from error


@contextmanager
def opened(source: Path | BinaryIO, allowed: re.Pattern[str], what: str) -> Iterator[Entries]:
    """Opens an archive of torch.

    Args:
        source: The file, or its bytes.
        allowed: Matches every name, below the root, that torch writes to such an archive.
        what: For messages, "the TorchScript archive".

    Raises:
        UnsafeModelError: it has an entry that torch does not write, or two of one name.
        ModelLoadError: it is damaged, or too large.
    """
    try:
        archive = open_zip(source)
    except OSError as error:
        raise ModelLoadError(f"{what} cannot be read: {error}") from error
    with archive:
        length = archive.fp.seek(0, 2) if archive.fp is not None else 0
        yield Entries(archive, _checked(archive.infolist(), length, allowed, what))


def _checked(
    infos: list[zipfile.ZipInfo], length: int, allowed: re.Pattern[str], what: str
) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    roots: set[str] = set()
    for info in infos:
        root, _, name = info.filename.partition("/")
        if not _is_plain(info) or not allowed.fullmatch(name):
            raise UnsafeModelError(
                f"{what} contains {info.filename[:200]!r}, which torch writes to no such archive: "
                "save the model anew with torch"
            )
        if name.casefold() in seen:
            raise UnsafeModelError(
                f"{what} contains {name!r} twice (letter case aside), and readers differ in which "
                "one they take: save the model anew with torch"
            )
        seen.add(name.casefold())
        roots.add(root)
        found[name] = info
    if len(roots) > 1 or roots & {"", ".", ".."}:
        raise UnsafeModelError(f"{what} does not have everything in one folder, as torch writes it")
    packed = sum(info.compress_size for info in infos)
    unpacked = sum(info.file_size for info in infos if info.compress_type)
    if packed > length or unpacked > _MOST_UNPACKED_BYTES:
        raise ModelLoadError(
            f"{what} unpacks to more than it may: its entries have {packed} bytes in a file of "
            f"{length}, and those that are compressed {unpacked} (at most {_MOST_UNPACKED_BYTES})"
        )
    return found


def _is_plain(info: zipfile.ZipInfo) -> bool:
    """Whether an entry is a file, and its name what every reader takes it for."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    parts = info.filename.split("/")
    return (
        info.orig_filename == info.filename
        and len(parts) > 1
        and not {"", ".", ".."} & set(parts)
        and "\\" not in info.filename
        and info.filename.isprintable()
        and kind in (0, stat.S_IFREG)
        and not info.flag_bits & ~_KNOWN_FLAGS
        and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        and (info.compress_type != zipfile.ZIP_STORED or info.compress_size == info.file_size)
    )


def names(*patterns: str) -> re.Pattern[str]:
    """What matches one of some names, or one that every archive of torch may have."""
    return re.compile("|".join((MARKS, *patterns)), re.ASCII)


def replace(path: Path, write: Any) -> None:
    """Puts what ``write(target)`` writes to a file in the place of ``path``, as a whole."""
    unfinished = path.with_name(f"{path.name}.checked")
    try:
        write(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
