"""Admission: how much may be in progress at once. Full is an ordinary answer. Any thread."""

from __future__ import annotations

from slipstream.engine.runtime import CoreGate
from slipstream.errors import UnavailableError
from slipstream.http.errors import OverloadedError
from slipstream.http.traffic import Level


class Gate:
    """Counts requests in progress and the bytes of their bodies, and refuses above the limits."""

    __slots__ = ("_max_body_bytes", "core")

    def __init__(self, max_requests: int, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self.core = CoreGate(max_requests, max_body_bytes)
        """The counters, which express routes use without asking here."""

    def enter(self) -> None:
        """Admits one request; each call that returns needs one `leave`.

        Raises:
            OverloadedError: ``max_requests`` are in progress.
            UnavailableError: the server is shutting down.
        """
        if self.core.try_enter():
            return
        if self.core.is_closed:
            raise UnavailableError("The server is shutting down")
        most = self.core.max_requests
        raise OverloadedError(
            f"{most} requests are in progress, as many as the server admits "
            "(MAX_CONCURRENT_REQUESTS); try again shortly",
            max_concurrent_requests=most,
            retry_after_s=1,
        )

    def leave(self, reserved_bytes: int) -> None:
        """Takes one request off, and what was set aside for its body."""
        self.core.leave(reserved_bytes)

    def reserve(self, count: int) -> None:
        """Sets aside memory for body bytes; `leave` gives it back.

        Raises:
            OverloadedError: the bodies in progress take all the memory allowed.
        """
        if not self.core.try_reserve(count):
            raise OverloadedError(
                "The bodies of the requests in progress fill the memory set aside for them "
                "(MAX_INFLIGHT_BODY_BYTES); try again shortly",
                max_inflight_body_bytes=self._max_body_bytes,
                retry_after_s=1,
            )

    def allow(self, max_requests: int) -> None:
        """Admits that many from now on; those that are in stay."""
        self.core.max_requests = max_requests

    def close(self) -> None:
        """Refuses every request from now on; those in progress finish."""
        self.core.close()

    @property
    def active(self) -> int:
        """Requests in progress."""
        return self.core.active

    @property
    def body_bytes(self) -> int:
        """Set aside for the bodies in progress."""
        return self.core.body_bytes

    def level(self) -> Level:
        """What is in progress, and what was let in."""
        return Level(self.core.active, self.core.body_bytes, self.core.received_bytes)

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self.core.active >= self.core.max_requests
