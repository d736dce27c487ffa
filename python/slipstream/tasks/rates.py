"""When a task will be done, by what was measured."""

from __future__ import annotations

_WEIGHT = 0.1
"""Of the newest figure in a moving average."""


class Rates:
    """Moving averages: how long tasks run, and how far apart they leave a queue that is busy."""

    def __init__(self) -> None:
        self._duration_s: float | None = None
        self._interval_s: float | None = None
        self._last_end: float | None = None

    def ended(self, duration_s: float, now: float, is_busy: bool) -> None:
        """Notes the end of a task that ran; ``is_busy``: others wait for its slot."""
        self._duration_s = _moved(self._duration_s, duration_s)
        if self._last_end is not None:
            self._interval_s = _moved(self._interval_s, max(0.0, now - self._last_end))
        self._last_end = now if is_busy else None

    def end_of(self, position: int, now: float) -> float | None:
        """When the task at that place of the queue will have ended; None: nothing was measured."""
        if self._duration_s is None:
            return None
        interval_s = self._duration_s if self._interval_s is None else self._interval_s
        return now + self._duration_s + (position - 1) * interval_s

    def end_of_started(self, started_at: float, now: float) -> float | None:
        """When a task that runs will have ended, not before ``now``."""
        return None if self._duration_s is None else max(now, started_at + self._duration_s)

    @property
    def interval_s(self) -> float:
        """Seconds until a place becomes free, as far as known."""
        return self._interval_s or self._duration_s or 1.0


def _moved(average: float | None, value: float) -> float:
    return value if average is None else average + _WEIGHT * (value - average)
