"""Models on their way into memory: few at a time, the most urgent first, each to be cancelled.

A load waits for its turn on the thread that asked for it. Models that come back because a request
waits for them do not wait here: two threads of their own bring them back.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from slipstream.errors import LoadCancelledError, SlipstreamError

LoadPriority: TypeAlias = Literal["high", "normal", "low"]
PRIORITIES: tuple[LoadPriority, ...] = ("high", "normal", "low")
"""In the order in which they get their turn."""
_numbers = itertools.count()


class Load:
    """One load, as those see it who did not ask for it. Thread-safe.

    Args:
        model_id: What the model is or will be called.
        path: Of the file, as it was asked for.
        priority: Before which others it gets its turn.
    """

    def __init__(self, model_id: str, path: str, priority: LoadPriority = "normal") -> None:
        self.model_id = model_id
        self.path = path
        self.priority = priority
        self.state: Literal["waiting", "loading"] = "waiting"
        self.progress = "waiting for its turn"
        """What it is at, in a few words."""
        self._rank = (PRIORITIES.index(priority), next(_numbers))
        self._asked_s = time.monotonic()
        self._cancelled = threading.Event()

    @property
    def rank(self) -> tuple[int, int]:
        """Lower ones get their turn first; those of one priority as they came."""
        return self._rank

    @property
    def age_s(self) -> float:
        """Seconds since it was asked for."""
        return time.monotonic() - self._asked_s

    def tell(self, progress: str) -> None:
        """Says what it is at."""
        self.progress = progress

    def cancel(self) -> None:
        """Nobody wants it any more: it ends at the next point where it can."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        """Whether it was."""
        return self._cancelled.is_set()

    def require_wanted(self) -> None:
        """Ends it here if it was cancelled.

        Raises:
            LoadCancelledError: it was.
        """
        if self.is_cancelled():
            raise LoadCancelledError(
                f"the load of model '{self.model_id}' was cancelled while it was in progress; load "
                "it again if it is wanted after all",
                model_id=self.model_id,
            )


class Loads:
    """All loads of an engine. Thread-safe.

    Args:
        most_at_once: How many may be at work at a time.
    """

    def __init__(self, most_at_once: int) -> None:
        self._most_at_once = most_at_once
        self._changed = threading.Condition()
        self._loads: list[Load] = []
        self._is_closed = False

    @contextmanager
    def turn(self, load: Load) -> Iterator[None]:
        """Waits until it is the load's turn, which is the block.

        Raises:
            LoadCancelledError: it was cancelled while it waited, or the block failed because it
                was cancelled.
        """
        with self._changed:
            self._loads.append(load)
            if self._is_closed:
                load.cancel()
        try:
            with self._changed:
                self._changed.wait_for(lambda: load.is_cancelled() or self._is_next(load))
                load.require_wanted()
                load.state = "loading"
                load.tell("reading the file")
            try:
                yield
            except SlipstreamError:  # it may be one that says that a child was stopped
                load.require_wanted()
                raise
        finally:
            with self._changed:
                self._loads.remove(load)
                self._changed.notify_all()

    def _is_next(self, load: Load) -> bool:
        waiting = [one for one in self._loads if one.state == "waiting"]
        at_work = len(self._loads) - len(waiting)
        return at_work < self._most_at_once and load is min(waiting, key=lambda one: one.rank)

    def cancel(self, model_id: str) -> None:
        """Cancels every load under this id."""
        self._cancel(lambda load: load.model_id == model_id)

    def close(self) -> None:
        """Cancels those there are, and every later one."""
        with self._changed:
            self._is_closed = True
        self._cancel(lambda load: True)

    def _cancel(self, is_meant: Callable[[Load], bool]) -> None:
        with self._changed:
            for load in self._loads:
                if is_meant(load):
                    load.cancel()
            self._changed.notify_all()

    def all(self) -> list[Load]:
        """Those at work, and then those that wait, in the order of their turns."""
        with self._changed:
            return sorted(self._loads, key=lambda one: (one.state == "waiting", one.rank))
