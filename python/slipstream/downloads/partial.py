"""A file on its way: what is there stays there, and the next attempt goes on behind it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from slipstream.downloads.plan import PlannedFile
from slipstream.errors import DownloadRefusedError

PART_SUFFIX = ".part"
SOURCE_SUFFIX = ".part.source"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CHUNK_BYTES = 1 << 20


class Partial:
    """``PATH.part`` until all of it is there and is what it should be; then ``PATH``.

    Args:
        folder: Of the download.
        file: What it is to become.
        most_bytes: More than that is never written.
        tell: Called with the bytes that are there, whenever there are more.
    """

    def __init__(
        self, folder: Path, file: PlannedFile, most_bytes: int, tell: Callable[[int], None]
    ) -> None:
        self.file = file
        self.path = folder / file.path
        self.part = self.path.with_name(self.path.name + PART_SUFFIX)
        self.source = self.path.with_name(self.path.name + SOURCE_SUFFIX)
        """What its source says by what it knows it again; for whoever needs that to go on."""
        self._most_bytes = most_bytes if file.size_bytes is None else file.size_bytes
        self._tell = tell
        self.path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def is_done(self) -> bool:
        """Whether an earlier attempt has finished it."""
        return self.path.is_file()

    @property
    def digest(self) -> str:
        """SHA-256 of the finished file, in hex."""
        return self.file.sha256 or _digest(self.path, hashlib.sha256())

    @property
    def size_bytes(self) -> int:
        """What is there of it."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def open(self, *, anew: bool = False) -> Metered:
        """To write behind what is there; ``anew``: from the beginning."""
        if anew:
            self.part.unlink(missing_ok=True)
        stream = self.part.open("ab")
        return Metered(stream, self._most_bytes, self._tell, self.path.name, self.discard)

    def discard(self) -> None:
        """Throws away all of it, finished or not."""
        for path in (self.path, self.part, self.source):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Takes it for the whole file, if it is.

        Raises:
            DownloadRefusedError: it has another size or another digest; it is thrown away.
        """
        found = self.size_bytes
        if self.file.size_bytes is not None and found != self.file.size_bytes:
            self._refuse(f"has {found} bytes, not {self.file.size_bytes}")
        if self.file.sha256 is not None:
            digest = _digest(self.part, hashlib.sha256())
            if digest != self.file.sha256:
                self._refuse(f"has the SHA-256 {digest}, not {self.file.sha256}")
        elif self.file.git_sha1 is not None:
            begun = hashlib.sha1(f"blob {found}\0".encode(), usedforsecurity=False)
            digest = _digest(self.part, begun)
            if digest != self.file.git_sha1:
                self._refuse(f"is the git blob {digest}, not {self.file.git_sha1}")
        with self.part.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(self.part, self.path)
        self.source.unlink(missing_ok=True)

    def _refuse(self, what: str) -> None:
        self.discard()
        raise DownloadRefusedError(
            f"{self.file.path} {what}: what came is not what its source announced, and was thrown "
            "away; try again"
        )


class Metered:
    """A file that is written; counts, and stops what is too long.

    What became too long, or found no room, is thrown away: it would fill the disk for nothing.
    """

    def __init__(
        self,
        stream: BinaryIO,
        most_bytes: int,
        tell: Callable[[int], None],
        name: str,
        discard: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._discard = discard
        self._most_bytes = most_bytes
        self._tell = tell
        self._name = name

    def __enter__(self) -> Metered:
        return self

    def __exit__(self, *_: object) -> None:
        with self._making_room():
            self._stream.close()

    def write(self, data: bytes) -> int:
        """Writes behind what is there.

        Raises:
            DownloadRefusedError: it becomes longer than it may.
        """
        if self.tell() + len(data) > self._most_bytes:
            self._throw_away()
            raise DownloadRefusedError(
                f"{self._name} is longer than the {self._most_bytes} bytes that were announced or "
                "are allowed (DOWNLOAD_MAX_MB), and was thrown away"
            )
        with self._making_room():
            count = self._stream.write(data)
        self._tell(self.tell())
        return count

    def tell(self) -> int:
        """How much there is."""
        return self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file; writing goes on behind the end all the same."""
        return self._stream.seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        """Throws away what is behind ``size``, or behind where it stands."""
        return self._stream.truncate(size)

    def flush(self) -> None:
        """To the system."""
        with self._making_room():
            self._stream.flush()

    @contextlib.contextmanager
    def _making_room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                self._throw_away()
            raise

    def _throw_away(self) -> None:
        self._discard()
        with contextlib.suppress(OSError):  # what it still holds finds no room either
            self._stream.close()


def _digest(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
