"""An HTTP server of a few lines whose answers a test decides, for the load generator to meet."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

Behaviour = Callable[[bytes, int], bytes | None]
"""Given a request's body and its number, from 0: the whole response; None ends the connection."""


def respond(body: bytes, status: int = 200, headers: str = "") -> bytes:
    """A response with a content length."""
    return (
        f"HTTP/1.1 {status} Whatever\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def request(body: bytes) -> bytes:
    """A POST request."""
    head = f"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class SmallServer:
    """Runs on a thread of its own; ``bodies`` are those that came, in that order."""

    def __init__(self, behave: Behaviour, path: Path | None = None) -> None:
        self.behave = behave
        self.path = path
        self.bodies: list[bytes] = []
        self.stall_s = 0.0
        self.address = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self.path is None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        else:
            server = await asyncio.start_unix_server(self._serve, self.path)
            self.address = f"unix:{self.path}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.bodies.append(body)
                if self.stall_s:
                    stall, self.stall_s = self.stall_s, 0.0
                    await asyncio.sleep(stall)
                answer = self.behave(body, len(self.bodies) - 1)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer.lower():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
