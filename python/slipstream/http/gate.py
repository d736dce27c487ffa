"""Admission: how much may be in progress at once. Full is an ordinary answer.

All of it is used on the event loop's thread only.
"""

from __future__ import annotations

from slipstream.errors import UnavailableError
from slipstream.http.errors import OverloadedError


class Gate:
    """Counts requests in progress and the bytes of their bodies, and refuses above the limits."""

    __slots__ = ("_closed", "_max_body_bytes", "_max_requests", "active", "body_bytes")

    def __init__(self, max_requests: int, max_body_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_body_bytes = max_body_bytes
        self._closed = False
        self.active = 0
        self.body_bytes = 0

    def enter(self) -> None:
        """Admits one request; each call that returns needs one `leave`.

        Raises:
            OverloadedError: ``max_requests`` are in progress.
            UnavailableError: the server is shutting down.
        """
        if self._closed:
            raise UnavailableError("The server is shutting down")
        if self.active >= self._max_requests:
            raise OverloadedError(
                f"{self.active} requests are in progress, as many as the server admits "
                "(MAX_CONCURRENT_REQUESTS); try again shortly",
                max_concurrent_requests=self._max_requests,
                retry_after_s=1,
            )
        self.active += 1

    def leave(self, reserved_bytes: int) -> None:
        """Takes one request off, and what was set aside for its body."""
        self.active -= 1
        self.body_bytes -= reserved_bytes

    def reserve(self, count: int) -> None:
        """Sets aside memory for body bytes; `leave` gives it back.

        Raises:
            OverloadedError: the bodies in progress take all the memory allowed.
        """
        if self.body_bytes + count > self._max_body_bytes:
            raise OverloadedError(
                "The bodies of the requests in progress fill the memory set aside for them "
                "(MAX_INFLIGHT_BODY_BYTES); try again shortly",
                max_inflight_body_bytes=self._max_body_bytes,
                retry_after_s=1,
            )
        self.body_bytes += count

    def close(self) -> None:
        """Refuses every request from now on; those in progress finish."""
        self._closed = True

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self.active >= self._max_requests
