"""Ended requests on their way back to Python: one wake-up for many, to a loop or to futures."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable

from slipstream import _engine
from slipstream.own_threads import call_thread

logger = logging.getLogger(__name__)

Done = Callable[[_engine.Result], None]
Submit = Callable[[_engine.CompletionQueue, int], int]
"""Submits one request with a queue and a tag; returns its ticket."""


class LoopCompletions:
    """Completions for one event loop. All methods on its thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._queue = _engine.CompletionQueue()
        self._waiting: dict[int, Done] = {}
        self._tags = itertools.count(1)
        loop.add_reader(self._queue.fileno(), self._drain)

    def start(self, submit: Submit, done: Done) -> int:
        """Submits; ``done`` is called once, later, on the loop's thread. Returns the ticket."""
        tag = next(self._tags)
        self._waiting[tag] = done
        try:
            return submit(self._queue, tag)
        except BaseException:
            del self._waiting[tag]
            raise

    def _drain(self) -> None:
        for tag, result in self._queue.drain():
            try:
                self._waiting.pop(tag)(result)
            except Exception as error:  # one caller's fault must not cost the others their answers
                self.loop.call_exception_handler(
                    {"message": "a completion callback failed", "exception": error}
                )


class ThreadCompletions:
    """Completions for any thread, called from one thread of its own that starts on first use."""

    def __init__(self) -> None:
        self._queue = _engine.CompletionQueue()
        self._waiting: dict[int, Done] = {}
        self._tags = itertools.count(1)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False

    def start(self, submit: Submit, done: Done) -> int:
        """Submits; ``done`` is called once, on the completion thread. Returns the ticket."""
        tag = next(self._tags)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="slipstream-completions", daemon=True
                )
                self._thread.start()
            self._waiting[tag] = done
        try:
            return submit(self._queue, tag)
        except BaseException:
            with self._lock:
                del self._waiting[tag]
            raise

    def close(self) -> None:
        """Ends the thread once every request that was started has ended. Not from the thread.

        The caller sees to it that they all do (their models are closed, or being closed).
        """
        self._closing = True
        self._queue.wake()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        call_thread("completions")
        while True:
            self._queue.wait(-1)
            closing = self._closing
            for tag, result in self._queue.drain():
                with self._lock:
                    done = self._waiting.pop(tag)
                try:
                    done(result)
                except Exception:  # one caller's fault must not cost the others their answers
                    logger.exception("a completion callback failed")
            with self._lock:
                if closing and not self._waiting:
                    return


_of_thread = threading.local()


def loop_completions() -> LoopCompletions:
    """The running loop's completions, made on first use.

    Raises:
        RuntimeError: no loop runs on this thread.
    """
    loop = asyncio.get_running_loop()
    existing: LoopCompletions | None = getattr(_of_thread, "completions", None)
    if existing is None or existing.loop is not loop:
        existing = LoopCompletions(loop)
        _of_thread.completions = existing
    return existing
