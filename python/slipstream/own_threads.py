"""Names that the kernel knows threads by: in ``top -H``, debuggers and profilers.

Python (before 3.14) names its threads for itself alone. The core names its own, "slip-" before
all; where a thread is of ours, and not of the HTTP server, `slipstream.http.placement` leaves it
alone.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

PREFIX = "slip-"
_LONGEST = 15


def call_thread(name: str) -> None:
    """Names the calling thread; where the kernel does not want to know, nothing happens."""
    file = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
    with contextlib.suppress(OSError):
        file.write_text((PREFIX + name)[:_LONGEST])


def is_ours(thread: int) -> bool:
    """Whether a thread of this process, by its kernel id, has such a name."""
    try:
        name = Path(f"/proc/self/task/{thread}/comm").read_text(errors="replace")
    except OSError:  # it has ended
        return False
    return name.startswith(PREFIX)
