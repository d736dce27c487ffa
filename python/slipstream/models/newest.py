"""What may go from a folder that only its newest files, or folders, stay in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def beyond_newest(paths: Iterable[Path], most: int) -> list[Path]:
    """Those that were written before the ``most`` newest of them.

    What another process deletes meanwhile is left out.
    """
    written: list[tuple[int, Path]] = []
    for path in paths:
        try:
            written.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    written.sort(reverse=True)
    return [path for _, path in written[most:]]
