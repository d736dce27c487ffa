"""Starts a real server in a process of its own, and talks to it as any client would."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from slipstream.setting_options import OPTIONS

SMALL_APP = str(Path(__file__).parent / "http_small_app.py")
_READY = re.compile(r'slipstream ready on ([^\s"]+)')
_READY_WITHIN_S = 120
_SETTINGS = frozenset(option.env for option in OPTIONS.values())


class Server:
    """A running server: its address, its client, its standard error so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.address = ""
        self._lines: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line)
            found = _READY.search(line)
            if found:
                self.address = found[1]
                self._ready.set()
        self._ready.set()

    @property
    def log(self) -> str:
        return "".join(self._lines)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def wait_until_ready(self) -> None:
        assert self._ready.wait(_READY_WITHIN_S), f"not ready in time:\n{self.log}"
        assert self.address, f"ended instead of serving:\n{self.log}"

    def client(self, **options: object) -> httpx.Client:
        options.setdefault("timeout", 30)
        return httpx.Client(base_url=self.address, **options)  # type: ignore[arg-type]

    def connect(self) -> socket.socket:
        """A raw connection, for what no well-behaved client sends."""
        host = self.address.rpartition("/")[2].rpartition(":")[0]
        return socket.create_connection((host, self.port), timeout=30)

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Ends the server in good order; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        status = self.process.wait(60)
        self._reader.join(10)
        return status


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of slipstream, and with its sources."""
    environment = {key: value for key, value in os.environ.items() if key not in _SETTINGS}
    environment["EXAMPLE_MODEL"] = "False"  # most tests say which models there are
    source = str(Path(__file__).parent.parent / "python")
    environment["PYTHONPATH"] = os.pathsep.join((source, environment.get("PYTHONPATH", "")))
    return environment


@contextlib.contextmanager
def running(
    command: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Server]:
    """Runs ``python <command>`` until the block ends; the server is ready inside."""
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**clean_environment(), **(env or {})},
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Server(process)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def slipstream_server(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    port: int | None = 0,
) -> contextlib.AbstractContextManager[Server]:
    """``slipstream serve`` on a free port; ``port=None`` leaves the port to the environment."""
    where = () if port is None else ("--port", str(port))
    return running(("-m", "slipstream.cli.main", "serve", *where, *arguments), env, cwd)


def read_response(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Reads one response with a content length from a raw connection."""
    stream = connection.makefile("rb")
    status = int(stream.readline().split()[1])
    headers: dict[str, str] = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return status, headers, stream.read(int(headers.get("content-length", "0")))


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error body, checked for everything that every error has."""
    body: dict[str, Any] = response.json()
    assert list(body) == ["error", "message", "details", "timestamp", "request_id"]
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == body["request_id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
    assert "Traceback" not in response.text
    return body


def core_error_of(response: httpx.Response) -> dict[str, Any]:
    """The error body of the endpoints at the root, checked for everything that every one has."""
    body: dict[str, Any] = response.json()
    assert list(body)[:8] == [
        *("success", "error", "detail", "status_code", "error_type", "details"),
        *("timestamp", "request_id"),
    ]
    assert set(body) - set(list(body)[:8]) <= {"model_info", "processing_time"}
    assert body["success"] is False
    assert body["status_code"] == response.status_code
    assert body["error"] and body["detail"]
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == body["request_id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
    assert "Traceback" not in response.text
    return body


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
