"""What a model did when it was drawn as one of several variants."""

from __future__ import annotations

import threading


class Drawn:
    """Counts; noted and read on any thread."""

    __slots__ = ("_lock", "answered", "failed", "time_s")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answered = 0
        self.failed = 0
        self.time_s = 0.0
        """From admission to completion, summed over those that were answered."""

    def note(self, time_s: float) -> None:
        """One was answered."""
        with self._lock:
            self.answered += 1
            self.time_s += time_s

    def note_error(self) -> None:
        """One was not."""
        with self._lock:
            self.failed += 1
