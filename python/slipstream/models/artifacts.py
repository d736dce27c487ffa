"""The cache of artifacts: one sealed folder per key, made once, checked whenever it is used.

Safe for several threads and processes on one folder. Nothing writes to a finished artifact again:
backends map its files into memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from slipstream.errors import ModelLoadError
from slipstream.models.manifest import Manifest, decode

MANIFEST_FILE = "manifest.json"
SUMS_FILE = "SHA256SUMS"
_CHUNK_BYTES = 1 << 20
_LOCK_POLL_S = 0.05


def artifact(
    cache_dir: Path, key: str, timeout_s: float, make: Callable[[Path, Path], None]
) -> tuple[Path, Manifest]:
    """The artifact of a key, from the cache or made now.

    Args:
        cache_dir: Folder of all artifacts; made if absent.
        key: Stands for everything that the artifact depends on; the name of its folder.
        timeout_s: How long to wait for another thread or process that makes the same.
        make: Called with a scratch folder and the folder to fill with the artifact and
            ``manifest.json``; at most once, and not if there is a sound artifact.

    Returns:
        The artifact's folder, and its manifest.

    Raises:
        ModelLoadError: ``make`` left no artifact, or the wait was too long; and what it raises.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    folder = cache_dir / key
    with _locked(cache_dir / f"{key}.lock", timeout_s):
        manifest = _cached(folder)
        if manifest is None:
            manifest = _make(folder, make)
    return folder, manifest


def forget(folder: Path) -> None:
    """Deletes an artifact, and the lock of its key; does nothing while somebody makes it.

    Whoever has its files open keeps them.
    """
    lock = folder.parent / f"{folder.name}.lock"
    with suppress(ModelLoadError), _locked(lock, 0.0):
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _finished(folder: Path) -> Manifest | None:
    """The manifest of what a converter left; None if there is none."""
    try:
        manifest = decode((folder / MANIFEST_FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    return manifest if (folder / manifest.artifact).is_file() else None


def _cached(folder: Path) -> Manifest | None:
    """The manifest of a cached artifact; None if there is none, or a file of it is damaged."""
    try:
        sums = (folder / SUMS_FILE).read_text()
        for line in sums.splitlines():
            digest, _, name = line.partition("  ")
            file = folder / name
            if not file.is_file() or sha256_of(file) != digest:  # a FIFO would never end
                return None
    except (OSError, UnicodeDecodeError):
        return None
    return _finished(folder) if sums else None


def is_damaged(folder: Path, manifest: Manifest) -> bool:
    """Whether an artifact that was made before is not what it was."""
    if (folder / SUMS_FILE).exists():
        return _cached(folder) is None
    return not (folder / manifest.artifact).is_file()


def _seal(folder: Path) -> None:
    """Write down what the files of an artifact are, as ``sha256sum`` does."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = [f"{sha256_of(file)}  {file.relative_to(folder)}\n" for file in files]
    (folder / SUMS_FILE).write_text("".join(lines))


@contextmanager
def _locked(lock: Path, timeout_s: float) -> Iterator[None]:
    """Hold an advisory lock: one preparation per key, whichever process it is in."""
    deadline = time.monotonic() + timeout_s
    while True:
        with lock.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ModelLoadError(
                        f"another preparation of the same model holds on for over {timeout_s:g} s"
                    ) from None
            else:
                if _is_there(lock, handle.fileno()):
                    yield
                    return
                continue  # it was forgotten meanwhile, and somebody else may have made a new one
        time.sleep(_LOCK_POLL_S)


def _is_there(lock: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _make(folder: Path, make: Callable[[Path, Path], None]) -> Manifest:
    """Fill a temporary folder and rename it into place. The key's lock is held."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        make(Path(scratch), out)
        manifest = _finished(out)
        if manifest is None:
            raise ModelLoadError("the converter left no artifact: the disk may be full")
        _seal(out)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(out, folder)
    return manifest
