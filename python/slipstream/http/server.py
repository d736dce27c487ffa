"""Granian in this process: a socket of ours, one worker on the running loop, an orderly end.

The socket is bound before models load, so that a port in use is known at once, and listens only
when the server can answer: a connection that is accepted is a server that is ready.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from granian._granian import SocketHolder
from granian.constants import Interfaces, SSLProtocols, TaskImpl
from granian.server.embed import Server as EmbeddedGranian

from slipstream.errors import SlipstreamError
from slipstream.http.placement import threads_of_process
from slipstream.http.rsgi import RsgiAdapter
from slipstream.settings import Settings

_BACKLOG = 1024
_SPARE_FILES = 256
_LAST_ANSWERS_S = 1.0


class ServerError(SlipstreamError):
    """The server cannot start or cannot go on; the message says what to do."""


class _Granian(EmbeddedGranian):
    """Granian's embedded server on a listening socket that we own until it starts."""

    def __init__(self, adapter: RsgiAdapter, sock: socket.socket, settings: Settings) -> None:
        super().__init__(
            target=adapter,
            interface=Interfaces.RSGI,
            task_impl=TaskImpl.asyncio,
            websockets=False,
            backlog=_BACKLOG,
            backpressure=settings.max_connections,
            log_enabled=False,
            ssl_cert=settings.ssl_certificate,
            ssl_key=settings.ssl_keyfile,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._listening = sock

    _shd: Any

    def _init_shared_socket(self) -> None:
        """Replaces Granian's own socket, which would share a port with whoever has it."""
        is_unix = self._listening.family == socket.AF_UNIX
        # The worker takes the descriptor over and closes it.
        make_holder = cast(Callable[[int, bool, int], Any], SocketHolder)
        self._shd = make_holder(self._listening.detach(), is_unix, _BACKLOG)


def bind(settings: Settings) -> socket.socket:
    """A bound socket that does not listen yet.

    Raises:
        ServerError: the address is in use, not ours, or not known.
    """
    if settings.uds is not None:
        return _bind_unix(settings.uds)
    where = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ServerError(f"Cannot listen on {where}: the host is not known ({error})") from error
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _cannot_listen(where, error) from error
    return sock


def _bind_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            _remove_stale(path)
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise _cannot_listen(str(path), error) from error
    return sock


def _remove_stale(path: Path) -> None:
    """Removes a socket file that nobody listens on: its server was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


def _cannot_listen(where: str, error: OSError) -> ServerError:
    remedies = {
        errno.EADDRINUSE: "it is in use by another program; choose another with --port "
        "(0 takes a free one)",
        errno.EACCES: "this user may not; choose a port above 1023",
        errno.EADDRNOTAVAIL: "this machine does not have that address; choose it with --host",
    }
    remedy = remedies.get(error.errno or 0, str(error))
    return ServerError(f"Cannot listen on {where}: {remedy}")


def address_of(sock: socket.socket, settings: Settings) -> str:
    """What a client connects to: ``http://127.0.0.1:8000`` or ``unix:/run/slipstream.sock``."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{settings.uds}"
    scheme = "https" if settings.ssl_certificate is not None else "http"
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def raise_file_limit(connections: int) -> None:
    """Lets the process hold that many sockets open, as far as its hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def serve(
    adapter: RsgiAdapter,
    sock: socket.socket,
    settings: Settings,
    stop: asyncio.Event,
    on_ready: Callable[[str], Any],
    give_up: Callable[[], object],
) -> bool:
    """Serves on the running loop until ``stop`` is set, then finishes what is in progress.

    Args:
        adapter: what answers the requests.
        sock: from `bind`; taken over.
        settings: TLS, limits and the drain timeout.
        stop: set by whoever wants the server to end.
        on_ready: called once with the address, when connections are accepted.
        give_up: called when requests are still in progress after ``drain_timeout_s``; it should
            make them fail, and their clients get that answer.

    Returns:
        Whether everything in progress was answered. If not, leave the process.

    Raises:
        ServerError: the server cannot listen, or ended by itself.
    """
    raise_file_limit(settings.max_connections)
    address = address_of(sock, settings)
    try:
        sock.listen(_BACKLOG)
        granian = _Granian(adapter, sock, settings)
    except OSError as error:
        sock.close()
        raise _cannot_listen(address, error) from error
    loop = asyncio.get_running_loop()
    adapter.place_threads(threads_of_process())
    serving = loop.create_task(granian.serve())
    stopped = loop.create_task(stop.wait())
    try:
        await asyncio.sleep(0)  # lets the worker take the socket over
        on_ready(address)
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            raise ServerError("The HTTP server ended unexpectedly") from serving.exception()
        granian.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({serving}, timeout=settings.drain_timeout_s)
        if not serving.done():
            give_up()
            await asyncio.wait({serving}, timeout=_LAST_ANSWERS_S)
        return serving.done()
    finally:
        stopped.cancel()
        if settings.uds is not None and settings.uds.exists():
            os.unlink(settings.uds)
