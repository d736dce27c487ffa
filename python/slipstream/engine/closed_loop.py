"""A closed loop over one model: so many requests are always in progress, and their end is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from slipstream import _engine

_POLL_MS = 50


def requests_per_second(
    core: _engine.Model,
    requests: Sequence[_engine.Inputs],
    in_progress: int,
    seconds: float,
    is_stopped: Callable[[], bool],
) -> float:
    """How many requests a model answers per second while ``in_progress`` are always under way.

    Args:
        core: The model; nobody else may be asking it.
        requests: Sent in turn.
        in_progress: Sent at the start; each end sends the next.
        seconds: For how long; longer only until the first request has ended.
        is_stopped: Asked now and then; once True, the loop ends early.

    Returns:
        The rate; 0 if it was stopped before anything ended.

    Raises:
        SlipstreamError: a request failed.
    """
    loop = _Loop(core, requests)
    began = time.monotonic()
    try:
        for _ in range(in_progress):
            loop.send()
        ended, ended_at = 0, began
        while not is_stopped() and (time.monotonic() < began + seconds or not ended):
            results = loop.wait()
            for result in results:
                result.raise_for_status()
                loop.send()
            if results:
                ended, ended_at = ended + len(results), time.monotonic()
    finally:
        loop.withdraw()
    return ended / max(ended_at - began, 1e-9)


class _Loop:
    """Requests under way. Not thread-safe."""

    def __init__(self, core: _engine.Model, requests: Sequence[_engine.Inputs]) -> None:
        self._core = core
        self._requests = requests
        self._queue = _engine.CompletionQueue()
        self._tickets: dict[int, int] = {}  # by tag
        self._sent = 0

    def send(self) -> None:
        request = self._requests[self._sent % len(self._requests)]
        self._tickets[self._sent] = self._core.submit(request, self._queue, self._sent)
        self._sent += 1

    def wait(self) -> list[_engine.Result]:
        """What has ended meanwhile; waits a moment for the first."""
        self._queue.wait(_POLL_MS)
        drained = self._queue.drain()
        for tag, _ in drained:
            del self._tickets[tag]
        return [result for _, result in drained]

    def withdraw(self) -> None:
        """Ends what has not run, and waits for what runs."""
        for ticket in self._tickets.values():
            self._core.cancel(ticket)
        while self._tickets:
            self.wait()
