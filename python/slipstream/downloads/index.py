"""What was downloaded and is there, over restarts: ``downloads.json`` in the state folder."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import msgspec

from slipstream.api.state_file import write_whole
from slipstream.decoding import json_decoder

DOWNLOADS_FILE = "downloads.json"
_log = logging.getLogger("slipstream.downloads")


class DownloadedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    path: str
    """Below the download's folder."""
    size_bytes: int
    sha256: str


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """One download that is complete."""

    folder: str
    """Name of its folder."""
    files: tuple[DownloadedFile, ...]
    downloaded_at: float
    """Seconds since the epoch."""
    model_name: str | None = None
    revision: str | None = None
    commit: str | None = None
    url: str | None = None


class _File(msgspec.Struct):
    downloads: list[Downloaded]
    version: int = 1


_decode = json_decoder(_File)


class Index:
    """Downloads by folder, in the order of their ends. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / DOWNLOADS_FILE
        self._lock = threading.Lock()
        self._all: dict[str, Downloaded] | None = None  # read on first use; replaced, never changed

    def all(self) -> list[Downloaded]:
        """Everything that was downloaded."""
        return list(self._read().values())

    def find(self, folder: str) -> Downloaded | None:
        """What is in a folder."""
        return self._read().get(folder)

    def note(self, downloaded: Downloaded) -> None:
        """It is there.

        Raises:
            UnavailableError: that cannot be written down.
        """
        before = self._read()
        with self._lock:
            after = {**before, **(self._all or {}), downloaded.folder: downloaded}
            text = msgspec.json.encode(_File(list(after.values())))
            write_whole(self._path, msgspec.json.format(text, indent=2))
            self._all = after

    def _read(self) -> dict[str, Downloaded]:
        with self._lock:
            if self._all is None:
                self._all = {one.folder: one for one in self._of_file()}
            return self._all

    def _of_file(self) -> list[Downloaded]:
        try:
            return _decode(self._path.read_bytes()).downloads
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            aside = self._path.with_suffix(".damaged")
            _log.error(
                "%s cannot be read, so what was downloaded is not listed; it is kept as %s: %s",
                *(self._path, aside.name, error),
            )
            if self._path.is_file():
                os.replace(self._path, aside)
            return []
