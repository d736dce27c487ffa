"""One attempt to call back: resolved once, checked, and connected to the address that was checked.

httpcore speaks HTTP and TLS (the certificate is held against the name of the URL); where the
connection goes is ours to say. Nothing is followed, and of the answer only the status is read.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence

import httpcore

from slipstream.errors import InvalidInputError
from slipstream.tasks.addresses import IpAddress, Wall
from slipstream.tasks.records import Attempt
from slipstream.tasks.resolver import ResolveError, Resolver

_CONNECT_S = 5.0
_MOST_ADDRESSES = 4
"""Tried in turn until one accepts a connection."""
_MOST_ERROR_CHARACTERS = 200


class Sender:
    """Makes attempts. Event loop's thread."""

    def __init__(self, wall: Wall, resolver: Resolver, timeout_s: float) -> None:
        self._wall = wall
        self._resolver = resolver
        self._timeout_s = timeout_s
        self._trust: ssl.SSLContext | None = None

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Attempt:
        """Posts JSON to a URL; what goes wrong is in the answer."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(url, headers, body)
        except InvalidInputError as error:
            return Attempt(None, error.message, is_final=True)
        except TimeoutError:
            return Attempt(None, f"no answer within {self._timeout_s:g} s")
        except (ResolveError, httpcore.NetworkError, httpcore.ProtocolError) as error:
            return Attempt(None, _told(error))
        except httpcore.TimeoutException:
            return Attempt(None, f"no connection within {_CONNECT_S:g} s")

    async def _post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Attempt:
        target = self._wall.target(
            url
        )  # again: what is allowed may have changed since it was given
        addresses = await self._resolver.resolve(target, self._timeout_s)
        self._wall.check(addresses, target)
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._trusted() if target.scheme == "https" else None,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=_Fixed(addresses[:_MOST_ADDRESSES]),
        )
        all_headers = [
            ("host", target.authority),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("user-agent", "slipstream"),
            ("connection", "close"),
            *headers,
        ]
        async with (
            pool,
            pool.stream(
                "POST",
                httpcore.URL(
                    scheme=target.scheme.encode(),
                    host=target.host.encode(),
                    port=target.port,
                    target=target.path.encode(),
                ),
                headers=[(name.encode(), value.encode()) for name, value in all_headers],
                content=body,
                extensions={"timeout": {"connect": _CONNECT_S}},
            ) as response,
        ):
            return _judged(response)

    def _trusted(self) -> ssl.SSLContext:
        """The system's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR."""
        if self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust


class _Fixed(httpcore.AsyncNetworkBackend):
    """Connects to given addresses, whatever name it is asked for."""

    def __init__(self, addresses: Sequence[IpAddress]) -> None:
        self._addresses = addresses
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = map(str, self._addresses)
        for address in others:
            try:
                return await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(last, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


def _judged(response: httpcore.Response) -> Attempt:
    status = response.status
    if 200 <= status < 300:
        return Attempt(status, None)
    if status == 410:
        return Attempt(status, "the receiver wants no more (410)", is_final=True)
    reason = "redirects are not followed" if 300 <= status < 400 else "the receiver refused it"
    return Attempt(status, f"{reason} ({status})", retry_after_s=_retry_after_s(response))


def _retry_after_s(response: httpcore.Response) -> float:
    """Seconds that Retry-After asks for; its other form, a date, is not read."""
    for name, value in response.headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 9:
            return float(value)
    return 0.0


def _told(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text[:_MOST_ERROR_CHARACTERS]
