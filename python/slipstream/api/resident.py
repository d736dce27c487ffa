"""The part of a model that is in memory or not: its version, and requests on their way to one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, ParamSpec, TypeVar

from slipstream.api.call import Call
from slipstream.api.placement import Placement
from slipstream.api.resting import RestingCore, RestingError, Room, RoomTicket, left_ms
from slipstream.api.version import Counted, Version, counted, resting
from slipstream.errors import UnavailableError

T = TypeVar("T")
P = ParamSpec("P")

State = Literal["loaded", "evicted", "loading"]
"""In memory; out of it, and back with the next request; on the way back."""


class Resident:
    """What `slipstream.Model` is to the engine that keeps it in memory, or does not."""

    def __init__(self, model_id: str, version: Version, wake: Callable[[], None]) -> None:
        self.model_id = model_id
        self.pinned = False
        """Whether it stays in memory whatever the limits say."""
        self.is_extra = False
        """Whether it takes nothing from other models, and counts for none of their limits."""
        self.is_returning = False
        """Whether it is being loaded again."""
        self.return_error: str | None = None
        """Why it could not be, the last time that it was tried."""
        self._version = version
        self._room = Room(wake, lambda: self.is_resting)
        self._entered_s = time.monotonic()
        self._count_lock = threading.Lock()
        self._counted = Counted()  # of this version, while it was in memory before
        self._leaving: list[Version] = []  # out of service, and still counting

    @property
    def version(self) -> Version:
        """The version that answers now. For `Engine`."""
        return self._version

    @property
    def placement(self) -> Placement:
        """Where it computes; where it did, while it is out of memory."""
        return self._version.placement

    @property
    def device(self) -> str:
        """Where it computes: ``"cpu"``, ``"cuda:0"``, or ``"cuda:0,cuda:1"``."""
        return self._version.placement.device

    @property
    def device_reason(self) -> str | None:
        """Why it computes on the processor though ``auto`` had chosen a GPU; else None."""
        return self._version.placement.reason

    def _replace(self, version: Version) -> Version:
        """Another version, which has done nothing yet."""
        with self._count_lock:
            old, self._version = self._version, version
            self._counted, self._leaving = Counted(), []
        return old

    def rest(self) -> Version:
        """Takes the version out of service and returns it, to be closed. For `Engine`.

        Requests wait from now on. `settle` follows when it is closed.
        """
        with self._count_lock:
            old, self._version = self._version, resting(self._version)
            self._leaving.append(old)
        return old

    def settle(self, old: Version) -> None:
        """A version that rested has answered everything: what it counted stays."""
        with self._count_lock:
            if old in self._leaving:
                self._leaving.remove(old)
                self._counted = counted(old, self._counted)

    def bring_back(self, version: Version) -> None:
        """The version that rested is in memory again. For `Engine`."""
        rested = self._version
        if version.folder == rested.folder and not version.members:  # the same artifact
            version = version._replace(serial=rested.serial)
        self._version = version._replace(rate=rested.rate)

    def let_in(self) -> None:
        """It is in memory: who waits goes to it. Without the engine's lock. For `Engine`."""
        self._entered_s = time.monotonic()
        self.return_error = None
        self._room.release()

    def not_back(self, error: Exception) -> None:
        """It could not be loaded again: who waits for it is told, and the next request tries."""
        self.return_error = str(error)
        self._room.fail(
            UnavailableError(f"model '{self.model_id}' could not be loaded again: {error}")
        )

    def end(self, reason: UnavailableError) -> None:
        """It is gone for good: who waits for it is told. For `Engine`."""
        self._room.close(reason)

    @property
    def is_awaited(self) -> bool:
        """Whether it rests, and a request waits for it."""
        return self.is_resting and len(self._room) > 0

    @property
    def is_resting(self) -> bool:
        """Whether it is out of memory."""
        return isinstance(self._version.core, RestingCore)

    @property
    def state(self) -> State:
        """Whether it is in memory."""
        if not self.is_resting:
            return "loaded"
        return "loading" if self.is_returning else "evicted"

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for it or runs."""
        return self._version.core.is_busy

    @property
    def idle_s(self) -> float:
        """Seconds since its last request ended, or since it came into memory."""
        in_memory_s = time.monotonic() - self._entered_s
        core = self._version.core
        idle_s = None if isinstance(core, RestingCore) else core.stats()["idle_s"]
        return in_memory_s if idle_s is None else min(idle_s, in_memory_s)

    def _counted_so_far(self) -> Counted:
        """By this version, whenever it was in memory."""
        with self._count_lock:
            so_far = self._counted
            for one in (*self._leaving, self._version):
                so_far = counted(one, so_far)
        return so_far

    def _run(self, make: Callable[[Version], Call]) -> Any:
        """Blocks until a call is answered, also while the model is being loaded again."""
        while True:
            try:
                return self._attempt(make, lambda call: call.read(call.run()))
            except RestingError as asked:
                make = _within(make, self._room.wait(asked))

    def _start_or_wait(
        self,
        make: Callable[[Version], Call],
        act: Callable[[Call], int],
        fail: Callable[[Exception], None],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> int:
        """Acts now, or when the model is back; then what goes wrong is told to ``fail``.

        What happens later happens on the thread of ``loop``; without one, on any thread.
        """

        def begin(waited: RoomTicket, deadline_s: float | None) -> None:
            try:
                again = _within(make, left_ms(deadline_s))
                waited.moved_to = self._start_or_wait(again, act, fail, loop)
            except Exception as error:  # whoever waits for it must hear of it
                fail(error)

        while True:
            try:
                return self._attempt(make, act)
            except RestingError as asked:
                ticket = self._room.add(asked, _on(loop, begin), _on(loop, fail))
            if ticket is not None:
                return ticket

    def _attempt(self, make: Callable[[Version], Call], act: Callable[[Call], T]) -> T:
        """Acts on a call of the version that answers now; again if a reload closed it meanwhile."""
        while True:
            version = self._version
            try:
                return act(make(version))
            except UnavailableError:
                if self._version is version:
                    raise

    def cancel(self, ticket: int) -> bool:
        """Withdraws a request that was started; False when it has ended already."""
        if isinstance(ticket, RoomTicket):
            moved_to = ticket.moved_to
            return self._room.withdraw(ticket) or (moved_to != 0 and self.cancel(moved_to))
        return self._version.core.cancel(ticket)


def _on(loop: asyncio.AbstractEventLoop | None, work: Callable[P, None]) -> Callable[P, None]:
    """The same, done on the loop's thread."""
    if loop is None:
        return work

    def hand_over(*arguments: P.args, **named: P.kwargs) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that is closed has nobody who waits
            loop.call_soon_threadsafe(partial(work, *arguments, **named))

    return hand_over


def _within(make: Callable[[Version], Call], timeout_ms: float | None) -> Callable[[Version], Call]:
    """The same call, with so much time left."""
    return lambda version: make(version)._replace(timeout_ms=timeout_ms)
