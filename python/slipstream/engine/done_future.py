"""A future that is done when it is made."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class DoneFuture(Future[T]):
    """Has its result from the beginning.

    `Future` makes a lock and a list for those who will wait, and wakes nobody through them: that
    takes longer than a quick model's answer. Here they are made when somebody asks for what only
    they have (`concurrent.futures.wait`, `asyncio.wrap_future`).
    """

    def __init__(self, answer: T) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        """What `Future` sets in its constructor: it is not there yet."""
        if name not in ("_condition", "_state", "_result", "_exception", "_waiters",
                        "_done_callbacks"):  # fmt: skip
            raise AttributeError(name)
        whole: Future[T] = Future()
        whole.set_result(self._answer)
        vars(self).update(vars(whole))  # at once: threads that look meanwhile see all of it or none
        return getattr(self, name)

    def result(self, timeout: float | None = None) -> T:
        """At once."""
        return self._answer

    def exception(self, timeout: float | None = None) -> None:
        """There is none."""

    def done(self) -> bool:
        """It is."""
        return True
