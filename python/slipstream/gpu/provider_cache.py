"""Where ONNX Runtime's TensorRT provider keeps the engines that it builds, which takes minutes.

An engine is good for one graph, on one kind of GPU, with one version of the runtime, so each of
these has a folder of its own. There are at most `MOST_KEPT` that no model of this process uses.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from slipstream.models.newest import beyond_newest

MOST_KEPT = 32
_lock = threading.RLock()  # models may be collected, and let go of theirs, while it is held
_in_use: Counter[Path] = Counter()


def cache_folder(root: Path, artifact: str, gpu_names: tuple[str, ...], version: str) -> Path:
    """The folder for an artifact's engines; made, and the newest from now on.

    Args:
        root: Of all such folders.
        artifact: Its key, which stands for its content.
        gpu_names: Of the GPUs that it is to run on.
        version: Of ONNX Runtime.
    """
    key = hashlib.sha256("\0".join((artifact, *gpu_names, version)).encode()).hexdigest()[:32]
    folder = root / key
    with _lock:
        folder.mkdir(parents=True, exist_ok=True)
        now_ns = time.time_ns()  # the kernel's own stamp would be milliseconds coarse
        os.utime(folder, ns=(now_ns, now_ns))
        forget(root, MOST_KEPT)
    return folder


@contextmanager
def used(folder: Path | None) -> Iterator[Callable[[object], None]]:
    """Keeps a folder while the block runs; and as long as what it hands over is there, a model."""
    if folder is None:
        yield lambda model: None
        return

    def keep(model: object) -> None:
        _take(folder)
        weakref.finalize(model, _let_go, folder).atexit = False

    _take(folder)
    try:
        yield keep
    finally:
        _let_go(folder)


def _take(folder: Path) -> None:
    with _lock:
        _in_use[folder] += 1


def _let_go(folder: Path) -> None:
    with _lock:
        _in_use[folder] -= 1
        if _in_use[folder] <= 0:
            del _in_use[folder]


def forget(root: Path, most: int) -> None:
    """Deletes the oldest folders until ``most`` are left, beside those that this process uses."""
    found = [one for one in root.iterdir() if one.is_dir() and one not in _in_use]
    for folder in beyond_newest(found, most):
        shutil.rmtree(folder, ignore_errors=True)
