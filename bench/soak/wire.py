"""One connection to a server, as plain as it can be: prepared bytes out, one reply in."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import NamedTuple, Self

_TIMEOUT_S = 60.0


class Reply(NamedTuple):
    """What came back; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """Keeps a connection alive over requests; one thread at a time. A context manager."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, request: bytes) -> Reply:
        """Sends a whole request and reads its reply.

        Raises:
            OSError: the connection broke.
        """
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), _TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._stream = self._socket.makefile("rb")
        self._socket.sendall(request)
        status = int(self._stream.readline().split()[1])
        headers: dict[str, str] = {}
        while (line := self._stream.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = self._stream.read(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return Reply(status, headers, body)

    def abandon(self, request: bytes) -> None:
        """Sends a request and hangs up."""
        self.close()
        with socket.create_connection(("127.0.0.1", self._port), _TIMEOUT_S) as connection:
            connection.sendall(request)

    def close(self) -> None:
        """The next request makes a new one."""
        if self._socket is not None:
            self._stream.close()
            self._socket.close()
            self._socket = None


def request(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """A whole request; JSON unless the headers say otherwise."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [
        f"{name}: {value}"
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items()
    ]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
