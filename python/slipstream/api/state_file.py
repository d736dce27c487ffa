"""Small files of the server's state: written whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from slipstream.errors import UnavailableError

_ABANDONED_S = 60.0
"""Nobody is so long about a file of this size."""


def write_whole(path: Path, data: bytes) -> None:
    """Replaces a file; after a crash at any moment it holds either the old bytes or the new ones.

    Raises:
        UnavailableError: the disk does not take it. The old file is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise UnavailableError(
            f"the server cannot write its state ({path.name}: {error.strerror}), and does nothing "
            "that it would not remember after a restart; make room in STATE_DIR, or make it "
            "writable"
        ) from error


def _remove_leftovers(path: Path) -> None:
    """Files that a server which was killed was writing."""
    for file in path.parent.glob(f".{path.name}-*"):
        with contextlib.suppress(OSError):  # a broom stops nobody
            if time.time() - file.stat().st_mtime > _ABANDONED_S:
                file.unlink()


def _sync_folder(folder: Path) -> None:
    """The new name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
