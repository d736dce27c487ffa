"""Names to addresses, on threads that nothing ever waits for longer than it wants to.

A lookup cannot be stopped, and a name server that does not answer holds it for long. So each runs
on a daemon thread of its own, of which there are few; when all of them hang, the next is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable

from slipstream.tasks.addresses import IpAddress, Target

_MOST_LOOKUPS = 16
_MOST_ADDRESSES = 16

Lookup = Callable[[str, int], list[str]]


class ResolveError(OSError):
    """No address was found in time; the message says why."""


def system_lookup(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system's resolver gives them. Blocks."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Resolver:
    """Looks names up. Event loop's thread."""

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup
        self._free = threading.BoundedSemaphore(_MOST_LOOKUPS)

    async def resolve(self, target: Target, timeout_s: float) -> tuple[IpAddress, ...]:
        """The addresses of a host, at least one; looked up once.

        Raises:
            ResolveError: there are none, or they were not found within ``timeout_s``.
        """
        if target.address is not None:
            return (target.address,)
        if not self._free.acquire(blocking=False):
            raise ResolveError(f"{target.host} was not looked up: name servers do not answer")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[tuple[IpAddress, ...]] = loop.create_future()
        thread = threading.Thread(
            target=self._run, args=(target, loop, found), name="slipstream-dns", daemon=True
        )
        thread.start()
        try:
            return await asyncio.wait_for(found, timeout_s)
        except TimeoutError:
            raise ResolveError(f"{target.host} was not found within {timeout_s:g} s") from None

    def _run(
        self,
        target: Target,
        loop: asyncio.AbstractEventLoop,
        found: asyncio.Future[tuple[IpAddress, ...]],
    ) -> None:
        addresses: tuple[IpAddress, ...] = ()
        error: ResolveError | None = None
        try:
            texts = dict.fromkeys(self._lookup(target.host, target.port))
            addresses = tuple(map(ipaddress.ip_address, texts))[:_MOST_ADDRESSES]
        except (OSError, UnicodeError, ValueError) as fault:
            error = ResolveError(f"{target.host} was not found: {fault}")
        finally:
            self._free.release()
        if not addresses and error is None:
            error = ResolveError(f"{target.host} has no address")

        def deliver() -> None:
            if found.done():
                return
            if error is not None:
                found.set_exception(error)
            else:
                found.set_result(addresses)

        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(deliver)
