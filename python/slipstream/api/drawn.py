"""What a model did when it was drawn as one of several variants."""

from __future__ import annotations


class Drawn:
    """Counts; noted on one thread (the event loop's), read from any."""

    __slots__ = ("answered", "failed", "time_s")

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.time_s = 0.0
        """From admission to completion, summed over those that were answered."""

    def note(self, time_s: float) -> None:
        """One was answered."""
        self.answered += 1
        self.time_s += time_s

    def note_error(self) -> None:
        """One was not."""
        self.failed += 1
