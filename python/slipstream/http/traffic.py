"""How many answers of each route and status, and how many requests were refused for what.

Of the general way: express routes count in the core. Any thread.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from slipstream.http.errors import (
    AuthenticationError,
    BodyTimeoutError,
    BodyTooLargeError,
    OverloadedError,
    RateLimitError,
)

NO_ROUTE = "none"
"""In place of a path that no route has: strangers must not be able to make series."""
_REASONS = {
    AuthenticationError: "key",
    BodyTimeoutError: "body_timeout",
    BodyTooLargeError: "body_too_large",
    RateLimitError: "rate_limit",
}
REASONS = (*_REASONS.values(), "requests", "body_memory", "slow_lane")


class Level(NamedTuple):
    """What is in progress now, and what was let in so far."""

    requests_in_progress: int
    body_bytes_in_memory: int
    received_body_bytes: int


class Traffic:
    """The counters of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, int]] = Counter()
        self._refused: Counter[str] = Counter()
        self.express: Callable[[], Iterable[tuple[str, int, int]]] = tuple
        """Path, status and number of the answers that express routes sent by themselves."""

    def answered(self, route: str, status: int) -> None:
        """One answer was sent."""
        with self._lock:
            self._answers[route or NO_ROUTE, status] += 1

    def refused(self, error: Exception) -> None:
        """A request was answered with this; counted if it says that it was not let in."""
        reason = _reason_of(error)
        if reason is not None:
            with self._lock:
                self._refused[reason] += 1

    def answers(self) -> dict[tuple[str, int], int]:
        """How many answers by path of the route and status, express ones included."""
        with self._lock:
            found = self._answers.copy()
        for path, status, count in self.express():
            found[path, status] += count
        return dict(found)

    def refusals(self) -> dict[str, int]:
        """How many refusals by reason, all reasons there are."""
        return {reason: self._refused[reason] for reason in REASONS}


def _reason_of(error: Exception) -> str | None:
    if isinstance(error, OverloadedError):
        if "max_concurrent_requests" in error.details:
            return "requests"
        return "body_memory" if "max_inflight_body_bytes" in error.details else "slow_lane"
    return next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), None)
