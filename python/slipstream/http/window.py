"""What happened in about the last minute, out of counters that only grow."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipstream.api.version import Totals

WINDOW_S = 60.0
_BETWEEN_S = 1.0
"""Looks that are closer than this to the one before are not kept."""


class SlidingWindow:
    """Keeps looks at the totals, and compares with one that is about as old as the window.

    Somebody has to look every few seconds: between two looks nothing is known. One thread.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._looks: collections.deque[tuple[float, Totals]] = collections.deque()

    def look(self, now_s: float, totals: Totals) -> None:
        """Keeps the totals of this moment (seconds of a steady clock)."""
        looks = self._looks
        if looks and now_s - looks[-1][0] < _BETWEEN_S:
            return
        looks.append((now_s, totals))
        while len(looks) > 2 and now_s - looks[1][0] >= self._window_s:
            looks.popleft()

    def since(self, now_s: float, totals: Totals) -> tuple[float, Totals]:
        """Seconds back to the oldest look that is kept, and what has happened since."""
        if not self._looks:
            return 0.0, totals - totals
        then_s, before = self._looks[0]
        return now_s - then_s, totals - before
