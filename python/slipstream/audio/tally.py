"""What speech has done so far, in numbers."""

from __future__ import annotations

from typing import NamedTuple


class Totals(NamedTuple):
    """Sums since the server started."""

    started: int
    completed: int
    failed: int
    """With an error, or because nobody waited any more."""
    took_s: float
    """Of those completed."""
    first_s: float
    """The same, until their first audio or segment."""
    audio_s: float
    """Made, or listened to."""

    @property
    def active(self) -> int:
        """In progress."""
        return self.started - self.completed - self.failed

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of work a second of audio; None: nothing was measured."""
        return self.took_s / self.audio_s if self.audio_s > 0 else None


class Tally:
    """Counts requests of one kind. The event loop's thread; `totals` on any."""

    def __init__(self) -> None:
        self._started = self._completed = self._failed = 0
        self._took_s = self._first_s = self._audio_s = 0.0

    @property
    def active(self) -> int:
        """In progress."""
        return self.totals().active

    def start(self) -> None:
        """One has been accepted."""
        self._started += 1

    def fail(self) -> None:
        """One has ended otherwise than it should."""
        self._failed += 1

    def complete(self, took_s: float, first_s: float, audio_s: float) -> None:
        """One has ended well."""
        self._completed += 1
        self._took_s += took_s
        self._first_s += first_s
        self._audio_s += audio_s

    def totals(self) -> Totals:
        """As they are now."""
        return Totals(
            *(self._started, self._completed, self._failed),
            *(self._took_s, self._first_s, self._audio_s),
        )
