"""Lanes: threads for routes that block, so that the event loop never does.

Bounded in threads and in waiting requests; full is an ordinary answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from slipstream.http.errors import OverloadedError
from slipstream.http.types import Response
from slipstream.own_threads import call_thread


class Lane(Protocol):
    """Where blocking work is done."""

    def submit(self, work: Callable[[], Response]) -> Future[Response]:
        """Begins ``work`` when it can; its future has the answer or the exception.

        Raises:
            OverloadedError: as much as allowed is running and waiting already.
        """


class SlowLane:
    """Runs blocking work. `submit` from any thread; `close` once, last.

    Args:
        threads: How much runs side by side.
        max_waiting: How much may wait beyond that.
        name: Of the lane, in names of threads.
        what: The work, in the plural, for the message of one that is full.
    """

    def __init__(
        self,
        threads: int,
        max_waiting: int,
        name: str = "slow",
        what: str = "loads and unloads",
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, f"slipstream-{name}", _begin, (name,))
        self._threads = threads
        self._has_begun = False
        self._what = what
        self._limit = threads + max_waiting
        self._lock = threading.Lock()
        self._count = 0

    def submit(self, work: Callable[[], Response]) -> Future[Response]:
        """Queues ``work``; its future has the answer or the exception.

        Raises:
            OverloadedError: as much as allowed is running and waiting already.
        """
        with self._lock:
            if self._count >= self._limit:
                raise _full(self._count, self._what)
            self._count += 1
            if not self._has_begun:
                self._has_begun = True
                self._begin_all()
        future = self._pool.submit(work)
        future.add_done_callback(self._finished)
        return future

    def _begin_all(self) -> None:
        """Starts every thread.

        Left to itself the pool starts one when it happens to find the others still on their way
        back from the work before: the number of threads would tell nothing.
        """
        together = threading.Barrier(self._threads)
        for _ in range(self._threads):
            self._pool.submit(together.wait)

    def _finished(self, _: Future[Response]) -> None:
        with self._lock:
            self._count -= 1

    @property
    def busy(self) -> bool:
        """Whether something is running or waiting."""
        return self._count > 0

    def close(self) -> None:
        """Drops what waits and returns at once; what runs, runs to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class LoadLane:
    """Runs each work on a thread of its own, which ends with it.

    For work that waits somewhere else for its turn, and not in the order in which it came: threads
    of a pool would be taken by those who came first.

    Args:
        most: Works at a time.
        name: Of the lane, in names of threads.
        what: The work, in the plural, for the message of one that is full.
    """

    def __init__(self, most: int, name: str = "load", what: str = "loads and reloads") -> None:
        self._most = most
        self._name = name
        self._what = what
        self._lock = threading.Lock()
        self._count = 0

    def submit(self, work: Callable[[], Response]) -> Future[Response]:
        """As `SlowLane.submit`."""
        with self._lock:
            if self._count >= self._most:
                raise _full(self._count, self._what)
            self._count += 1
        future: Future[Response] = Future()
        future.set_running_or_notify_cancel()
        name = f"slipstream-{self._name}"
        try:
            threading.Thread(target=self._run, args=(work, future), name=name, daemon=True).start()
        except RuntimeError as error:  # the system has no thread left
            self._finished()
            raise OverloadedError(str(error), retry_after_s=5) from error
        return future

    def _run(self, work: Callable[[], Response], future: Future[Response]) -> None:
        try:
            _begin(self._name)
            answer = work()
        except BaseException as error:  # whoever waits must hear of it, whatever it is
            self._finished()
            future.set_exception(error)
        else:
            self._finished()
            future.set_result(answer)

    def _finished(self) -> None:
        with self._lock:
            self._count -= 1

    @property
    def busy(self) -> bool:
        """Whether something is running."""
        return self._count > 0


def _full(count: int, what: str) -> OverloadedError:
    return OverloadedError(f"{count} {what} are in progress; try again later", retry_after_s=5)


def _begin(name: str) -> None:
    """On each thread of a lane: it takes long turns again.

    Those of the event loop's thread, which started it, are short.
    """
    from slipstream.engine.runtime import shorten_turns  # here: routes are known before the engine

    call_thread(name)
    shorten_turns(threading.get_native_id(), 0.0)
