"""A model that rests: out of memory, in the list, and back with its next request.

`RestingCore` stands where the model's core was, so that a model in memory pays nothing for the
others: only who is told `RestingError` knows of resting. Such a request waits in the model's
`Room`, bounded, with its deadline and its priority, and can be withdrawn.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from slipstream.engine.runtime import CoreInputs, CoreLatencies, CoreQueue, CoreResult
from slipstream.errors import (
    DeadlineExceededError,
    QueueFullError,
    RequestCancelledError,
    UnavailableError,
)

MOST_WAITING = 1024
"""Requests for one resting model; as many as one priority's lane of a model in memory holds."""


class RestingError(UnavailableError):
    """The model rests. `slipstream.Model` has the request wait; no caller sees it."""

    def __init__(self, priority: int, timeout_ms: float | None) -> None:
        super().__init__("the model rests")
        self.priority = priority
        self.timeout_ms = timeout_ms


class RestingCore:
    """In the place of a core's model that was closed; every request is told that it rests."""

    name = ""
    instances = 0
    is_busy = False
    is_batching = False

    def run(
        self,
        inputs: CoreInputs,
        *,
        priority: int = 0,
        timeout_ms: float | None = None,
        max_batch_rows: int = 0,
        outputs_wanted: int = 0,
        is_alone: bool = False,
    ) -> CoreResult:
        """As the core's; so are all below."""
        raise RestingError(priority, timeout_ms)

    def try_run_inline(
        self,
        inputs: CoreInputs,
        *,
        priority: int = 0,
        timeout_ms: float | None = None,
        max_batch_rows: int = 0,
        outputs_wanted: int = 0,
        is_alone: bool = False,
    ) -> NoReturn:
        """See `run`."""
        raise RestingError(priority, timeout_ms)

    def submit(
        self,
        inputs: CoreInputs,
        queue: CoreQueue,
        tag: int,
        *,
        priority: int = 0,
        timeout_ms: float | None = None,
        max_batch_rows: int = 0,
        outputs_wanted: int = 0,
        is_alone: bool = False,
    ) -> NoReturn:
        """See `run`."""
        raise RestingError(priority, timeout_ms)

    def cancel(self, ticket: int) -> bool:
        """Nothing runs."""
        return False

    def close(self, drain_timeout_s: float = 0.0) -> None:
        """It is."""

    def set_max_batch_rows(self, rows: int) -> None:
        """Whoever brings the model back sets it."""

    def set_instances(self, count: int) -> None:
        """So does whoever brings the model back."""

    def latencies(self) -> CoreLatencies:
        """None: nothing runs."""
        return CoreLatencies()


class RoomTicket(int):
    """Names a request that waits in a room, also after it has left for the core."""

    moved_to: int = 0
    """Its ticket there; 0 while it waits, and where it ran at once."""


Begin = Callable[[RoomTicket, float | None], None]
"""Starts a request that waited; given its ticket, and the end of its time (monotonic seconds)."""
Fail = Callable[[Exception], None]


class _Waiting(NamedTuple):
    priority: int
    deadline_s: float | None
    begin: Begin
    fail: Fail


class Room:
    """Where requests wait for one model to come back. Thread-safe.

    Each leaves once: by `Begin` or by `Fail`, which are called without the lock, on whichever
    thread it is that makes it leave.

    Args:
        wake: Called when somebody waits and nobody may be bringing the model back yet.
        is_resting: Whether the model is out of memory now.
    """

    def __init__(self, wake: Callable[[], None], is_resting: Callable[[], bool]) -> None:
        self._wake = wake
        self._is_resting = is_resting
        self._lock = threading.Lock()
        self._waiting: dict[RoomTicket, _Waiting] = {}
        self._numbers = itertools.count(1 << 64)  # above every ticket of the core
        self._over: Exception | None = None
        self._alarm: threading.Timer | None = None
        self._alarm_s = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, asked: RestingError, begin: Begin, fail: Fail) -> RoomTicket | None:
        """Has a request wait; None when the model is back already.

        Raises:
            QueueFullError: as many as are allowed wait.
            UnavailableError: the model is gone for good.
        """
        deadline_s = None
        if asked.timeout_ms is not None:
            deadline_s = time.monotonic() + asked.timeout_ms / 1e3
        with self._lock:
            if self._over is not None:
                raise self._over
            if not self._is_resting():
                return None
            if len(self._waiting) >= MOST_WAITING:
                raise QueueFullError(
                    f"{MOST_WAITING} requests wait for the model to be loaded again; retry later"
                )
            ticket = RoomTicket(next(self._numbers))
            self._waiting[ticket] = _Waiting(asked.priority, deadline_s, begin, fail)
            self._set_alarm(deadline_s)
        self._wake()
        return ticket

    def wait(self, asked: RestingError) -> float | None:
        """Blocks until the model is back; returns the milliseconds that are left.

        Raises: as `add`, and what the request fails with.
        """
        ended = threading.Event()
        failure: list[Exception] = []

        def fail(error: Exception) -> None:
            failure.append(error)
            ended.set()

        until_s = None if asked.timeout_ms is None else time.monotonic() + asked.timeout_ms / 1e3
        ticket = self.add(asked, lambda ticket, deadline_s: ended.set(), fail)
        if ticket is None:
            return asked.timeout_ms
        try:
            ended.wait()
        except BaseException:  # Ctrl-C
            self.withdraw(ticket)
            raise
        if failure:
            raise failure[0]
        return left_ms(until_s)

    def withdraw(self, ticket: RoomTicket) -> bool:
        """Ends a request that waits; False when it waits no more."""
        with self._lock:
            waiting = self._waiting.pop(ticket, None)
        if waiting is not None:
            waiting.fail(RequestCancelledError("the request was cancelled by its caller"))
        return waiting is not None

    def release(self) -> None:
        """The model is back: everybody goes to it, by priority and then in order of arrival."""
        with self._lock:
            leaving = self._take_all()
        for ticket, waiting in sorted(leaving.items(), key=lambda one: -one[1].priority):
            waiting.begin(ticket, waiting.deadline_s)

    def fail(self, error: Exception) -> None:
        """The model did not come back; who comes later may have more luck."""
        with self._lock:
            leaving = self._take_all()
        for waiting in leaving.values():
            waiting.fail(error)

    def close(self, error: Exception) -> None:
        """The model is gone: who waits fails, and who comes later."""
        with self._lock:
            self._over = error
        self.fail(error)

    def _take_all(self) -> dict[RoomTicket, _Waiting]:
        leaving, self._waiting = self._waiting, {}
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        return leaving

    def _set_alarm(self, deadline_s: float | None) -> None:
        if deadline_s is None or (self._alarm is not None and self._alarm_s <= deadline_s):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = threading.Timer(max(0.0, deadline_s - time.monotonic()), self._expire)
        self._alarm.name, self._alarm.daemon = "slipstream-waiting", True
        self._alarm_s = deadline_s
        self._alarm.start()

    def _expire(self) -> None:
        now_s = time.monotonic()
        with self._lock:
            late = [
                ticket
                for ticket, waiting in self._waiting.items()
                if waiting.deadline_s is not None and waiting.deadline_s <= now_s
            ]
            leaving = [self._waiting.pop(ticket) for ticket in late]
            self._alarm = None
            deadlines = (waiting.deadline_s for waiting in self._waiting.values())
            self._set_alarm(min((end for end in deadlines if end is not None), default=None))
        for waiting in leaving:
            waiting.fail(late_error())


def late_error() -> DeadlineExceededError:
    """For requests whose time is over before the model is back."""
    return DeadlineExceededError(
        "the request's deadline passed while its model was being loaded again"
    )


def left_ms(deadline_s: float | None) -> float | None:
    """Milliseconds until then.

    Raises:
        DeadlineExceededError: none are left.
    """
    if deadline_s is None:
        return None
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise late_error()
    return left_s * 1e3
