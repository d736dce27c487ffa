"""Copies of requests, run by models whose answers are compared and never returned.

A copy must not cost the request that it copies anything: it is queued after that was started, its
rows are read, its answer is awaited and both are compared on a thread of its own, its priority is
low, and there are only so many of them. One too many is dropped, and counted.

Threads: `Shadows.take` and the functions it returns on any; everything else on the thread
``slipstream-shadows``, which starts with the first copy.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple

from slipstream.api.agreement import agreement
from slipstream.api.tally import ShadowTally
from slipstream.errors import QueueFullError, RequestCancelledError, SlipstreamError
from slipstream.own_threads import call_thread

logger = logging.getLogger(__name__)

MOST_COPIES = 64
"""In progress at once, over all experiments of an engine."""
MOST_BYTES = 64 * 1024 * 1024
"""Of bodies that copies in progress keep in memory."""
PRIORITY = -1
"""The lowest level there is."""


class Answered(NamedTuple):
    """What a shadow made of a copy."""

    value: Any
    """As `agreement` takes it."""
    time_s: float
    """From admission to completion."""


Start = Callable[[], "Future[Answered]"]
Original = Callable[[], Any]
"""Gives the first rows of the answer that was returned, as `agreement` takes them."""


class Shadows:
    """The copies of one engine."""

    def __init__(self, most_copies: int = MOST_COPIES, most_bytes: int = MOST_BYTES) -> None:
        self._most_copies = most_copies
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._copies = 0
        self._bytes = 0
        self._steps: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        """At most three a copy."""
        self._thread: threading.Thread | None = None
        self._closed = False

    def take(self, tally: ShadowTally, size_bytes: int, start: Start) -> Copy | None:
        """A place for a copy of a request with a body of that size; None where it is dropped.

        Whoever takes one calls its `Copy.withdraw`, or its `Copy.begin` and then, when the request
        itself has ended, its `Copy.original_ended`: each at most once.
        """
        with self._lock:
            has_place = (
                not self._closed
                and self._copies < self._most_copies
                and self._bytes + size_bytes <= self._most_bytes
            )
            if has_place:
                self._copies += 1
                self._bytes += size_bytes
        if not has_place:
            tally.note_dropped()
            return None
        return Copy(self, tally, size_bytes, start)

    @property
    def in_progress(self) -> int:
        """Copies that have not ended."""
        with self._lock:
            return self._copies

    def close(self) -> None:
        """Ends the thread once it has done what it was given; further copies are dropped.

        To be called when the models are closed: what they were asked has ended then.
        """
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._steps.put(None)
        if thread is not None:
            thread.join()

    def do(self, step: Callable[[], object]) -> None:
        """Has the thread do something. For `Copy`."""
        with self._lock:
            if self._closed:
                return
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="slipstream-shadows", daemon=True
                )
                self._thread.start()
            self._steps.put(step)

    def give_back(self, size_bytes: int) -> None:
        """A copy has ended. For `Copy`."""
        with self._lock:
            self._copies -= 1
            self._bytes -= size_bytes

    def _run(self) -> None:
        call_thread("shadows")
        while (step := self._steps.get()) is not None:
            try:
                step()
            except Exception:  # one copy's fault must not cost the others their comparison
                logger.exception("a shadow failed unexpectedly")


class Copy:
    """One request on its way to one shadow: ends when both have answered."""

    __slots__ = ("_answer", "_left", "_original", "_shadows", "_size_bytes", "_start", "_tally")

    def __init__(self, shadows: Shadows, tally: ShadowTally, size_bytes: int, start: Start) -> None:
        self._shadows = shadows
        self._tally = tally
        self._size_bytes = size_bytes
        self._start: Start | None = start
        self._original: Any = None
        self._answer: Answered | None = None
        self._left = 2

    def withdraw(self) -> None:
        """The request was refused: there is nothing to copy."""
        self._start = None
        self._shadows.give_back(self._size_bytes)

    def begin(self) -> None:
        """The request was accepted, or answered already."""
        self._shadows.do(self._begin)

    def original_ended(self, original: Original | None) -> None:
        """What the request was answered; None where it failed."""
        self._shadows.do(partial(self._keep_original, original))

    def _begin(self) -> None:
        start, self._start = self._start, None
        assert start is not None, "begun once"
        try:
            future = start()
        except Exception as error:
            self._failed(error)
            return
        future.add_done_callback(lambda ended: self._shadows.do(partial(self._ended, ended)))

    def _ended(self, future: Future[Answered]) -> None:
        try:
            self._answer = future.result()
        except Exception as error:
            self._failed(error)
            return
        self._tally.note_answer(self._answer.time_s)
        self._finish()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, QueueFullError | RequestCancelledError):
            self._tally.note_dropped()
        else:
            self._tally.note_error()
            if not isinstance(error, SlipstreamError):
                logger.error("shadow %s failed unexpectedly", self._tally.model_id, exc_info=error)
        self._finish()

    def _keep_original(self, original: Original | None) -> None:
        try:
            self._original = None if original is None else original()
        finally:
            self._finish()

    def _finish(self) -> None:
        """One of the two has ended; the second one's end is that of the copy."""
        self._left -= 1
        if self._left > 0:
            return
        try:
            if self._answer is not None and self._original is not None:
                compared = agreement(self._original, self._answer.value)
                self._tally.note_comparison(compared)
        finally:
            self._original = self._answer = None
            self._shadows.give_back(self._size_bytes)
