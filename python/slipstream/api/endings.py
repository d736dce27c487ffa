"""Versions that are being closed: whoever closes one waits for it only so long.

A computation in this process cannot be stopped. One that hangs keeps its version, its memory and
its core until it ends, and nothing else: neither the model's id nor the thread that unloads it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from slipstream.api.version import Version
from slipstream.own_threads import call_thread

_GRACE_S = 2.0
"""Beyond the time that requests have: a worker process is ended in less."""
_log = logging.getLogger("slipstream.engine")


class Endings:
    """Closes versions. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()

    def close(self, version: Version, drain_timeout_s: float, then: Callable[[], None]) -> None:
        """Closes a version that was taken out of service; blocks for that long and a little more.

        Args:
            version: It has ``drain_timeout_s`` to answer what it has accepted.
            drain_timeout_s: In seconds.
            then: Called when it is closed, on another thread, perhaps after this has returned.
        """

        def end() -> None:
            call_thread("end")
            try:
                version.core.close(drain_timeout_s)
                then()
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=end, name="slipstream-end", daemon=True)
        with self._lock:  # until it has begun: wait() may not join it before
            self._threads.add(thread)
            thread.start()
        thread.join(drain_timeout_s + _GRACE_S)
        if thread.is_alive():
            _log.error(
                "an execution of model '%s' does not end: it keeps its memory and a core until it "
                "does, or the server is started again",
                version.core.name,
            )

    def wait(self) -> None:
        """Blocks until every version is closed."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
