"""Servers as processes: started, watched until they answer, paused while others are measured."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Self

import psutil

from bench.lib import tools
from bench.lib.tools import SetupError

LOGS = tools.WORK / "logs"
_POLL_S = 0.002
_END_S = 15.0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server in a session of its own; a context manager that ends it with all its children.

    Args:
        name: Also of its log file.
        command: The program.
        port: It will listen on, at 127.0.0.1.
        env: Beside this process's variables.
        cwd: Its working directory.
        pausable: Whether it survives being stopped for seconds.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        port: int,
        env: Mapping[str, str] | None = None,
        cwd: Path = tools.ROOT,
        pausable: bool = True,
    ) -> None:
        self.name = name
        self.port = port
        self.pausable = pausable
        self.first_answer_s = 0.0
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{name.replace(' ', '_').replace('/', '_')}.log"
        self.started_ns = time.perf_counter_ns()
        with self.log.open("wb") as log:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # Nobody asks it here, and where torch is it would cost the memory of libtorch.
                    env={**os.environ, "EXAMPLE_MODEL": "False", **(env or {})},
                    cwd=cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise SetupError(f"{name} cannot be started: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """For the load generator."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._process.pid

    def wait(self, request: bytes, check: Callable[[bytes], str | None], within_s: float) -> None:
        """Asks until there is an answer with status 200; `first_answer_s` is when that was.

        Raises:
            SetupError: the answer is wrong, the server ended, or there was none in time.
        """
        end = time.monotonic() + within_s
        said = "no connection"
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise SetupError(f"{self.name} ended at its start: {self.tail()}")
            try:
                status, body = ask(self.port, request)
            except OSError:
                time.sleep(_POLL_S)
                continue
            if status == 200:
                took_s = (time.perf_counter_ns() - self.started_ns) / 1e9
                wrong = check(body)
                if wrong is not None:
                    raise SetupError(f"{self.name} answers wrongly: {wrong}")
                self.first_answer_s = took_s
                return
            said = f"status {status}: {body[:200]!r}"
            time.sleep(0.05)
        raise SetupError(
            f"{self.name} did not answer within {within_s:g} s ({said}): {self.tail()}"
        )

    def tail(self) -> str:
        """The end of its log, in one line."""
        return " ".join(self.log.read_text(encoding="utf-8", errors="replace").split())[-300:]

    def tree(self) -> list[psutil.Process]:
        """Its process and all below it."""
        try:
            top = psutil.Process(self._process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def rss_mb(self) -> float:
        """Resident memory of all its processes, in MB; shared pages count in each."""
        total = 0
        for process in self.tree():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total / 1e6

    def pause(self) -> None:
        """Takes its processes off the cores."""
        if self.pausable:
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets its processes go on."""
        if self.pausable:
            self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it, in order where it can, and everything that it started."""
        every = self.tree()
        self.resume()
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        with contextlib.suppress(ProcessLookupError):  # its session: also what outlived it
            os.killpg(self._process.pid, signal.SIGKILL)
        for process in every:
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)

    def _signal(self, number: int) -> None:
        for process in self.tree():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)


@contextlib.contextmanager
def only(server: Server, others: Sequence[Server]) -> Iterator[None]:
    """Pauses all others while the block runs."""
    for other in others:
        if other is not server:
            other.pause()
    server.resume()
    try:
        yield
    finally:
        for other in others:
            other.resume()


def ask(port: int, request: bytes, timeout_s: float = 30.0) -> tuple[int, bytes]:
    """Sends one whole request over a connection of its own; the status and the body.

    Raises:
        OSError: no connection, or it ended early, or what came is no HTTP.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(request)
        try:
            return _response(connection.makefile("rb"))
        except (ValueError, IndexError) as error:
            raise OSError(f"no HTTP response: {error}") from error


def _response(stream: BinaryIO) -> tuple[int, bytes]:
    words = stream.readline().split()
    status = int(words[1])
    headers = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return status, stream.read(int(headers.get("content-length", "0")))
    body = b""
    while (size := int(stream.readline().split(b";")[0], 16)) > 0:
        body += stream.read(size)
        stream.readline()
    return status, body
