"""Where ONNX Runtime's TensorRT provider keeps the engines that it builds, which takes minutes.

An engine is good for one graph, on one kind of GPU, with one version of the runtime, so each of
these has a folder of its own. There are at most `MOST_KEPT` that this process does not use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from pathlib import Path

MOST_KEPT = 32
_lock = threading.Lock()
_in_use: set[Path] = set()


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
        _in_use.add(folder)
        folder.mkdir(parents=True, exist_ok=True)
        now_ns = time.time_ns()  # the kernel's own stamp would be milliseconds coarse
        os.utime(folder, ns=(now_ns, now_ns))
        forget(root, MOST_KEPT)
    return folder


def forget(root: Path, most: int) -> None:
    """Deletes the oldest folders until ``most`` are left, beside those that this process uses."""
    found = [one for one in root.iterdir() if one.is_dir() and one not in _in_use]
    found.sort(key=lambda one: one.stat().st_mtime_ns, reverse=True)
    for folder in found[most:]:
        shutil.rmtree(folder, ignore_errors=True)
