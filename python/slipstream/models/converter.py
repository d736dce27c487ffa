"""Starts a child that works on model files and listens to it: bounded in time, memory and talk."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from slipstream.child_environment import child_environment
from slipstream.decoding import foreign_json
from slipstream.errors import (
    InvalidInputError,
    MissingDependencyError,
    ModelLoadError,
    QuantizationError,
    SlipstreamError,
    UnavailableError,
    UnsafeModelError,
)

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_MOST_MESSAGE_BYTES = 8 << 20
"""Of one message; a long task may tell its progress as often as it likes."""
_KEPT_STDERR_BYTES = 16 << 10
_POLL_S = 0.1
_ERRORS: dict[str, type[SlipstreamError]] = {
    kind.__name__: kind
    for kind in (
        UnsafeModelError,
        ModelLoadError,
        MissingDependencyError,
        InvalidInputError,
        QuantizationError,
    )
}


class Child(NamedTuple):
    """A module to run in a process of its own, and how its failures are told."""

    module: str
    name: str
    task: str
    remedy: str
    """Against taking too long."""
    failure: type[SlipstreamError] = ModelLoadError
    environment: tuple[str, ...] = ()
    """Variables that it gets beside what every child does (`slipstream.child_environment`)."""
    errors: tuple[type[SlipstreamError], ...] = ()
    """Of its own, beside those that every child may have."""


CONVERTER = Child(
    "slipstream.convert.child",
    "converter process",
    "opening and converting the model",
    "raise the limit, or load it with compile_model false",
)


def run_child(
    job: dict[str, Any],
    folder: Path,
    timeout_s: float,
    progress: Callable[[str], None] | None,
    kind: Child = CONVERTER,
    is_stopped: Callable[[], bool] | None = None,
) -> Any:
    """Run one job; returns when it is done, with what the child has answered.

    Args:
        job: What the child's module takes, as plain data (`slipstream.convert.build.Job`).
        folder: Working directory of the child.
        timeout_s: After this many seconds the child and whatever it started are killed.
        progress: Called on this thread with short texts as the child proceeds.
        kind: Which child.
        is_stopped: Asked several times a second; once True, the child is killed.

    Raises:
        SlipstreamError: The child's own error with its own class, or ``kind.failure`` when it died
            or ran out of time.
        UnavailableError: It was stopped.
    """
    read_end, write_end = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", kind.module, str(write_end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(write_end,),
            cwd=folder,
            env=_environment(kind.environment),
            start_new_session=True,
        )
    except OSError as error:
        os.close(read_end)
        raise kind.failure(f"the {kind.name} cannot be started: {error}") from error
    finally:
        os.close(write_end)
    try:
        _send(child, job)
        answer, complaint = _listen(child, read_end, timeout_s, progress, kind, is_stopped)
    finally:
        _kill_group(child)
        os.close(read_end)
    return _judge(answer, complaint, child.returncode, kind)


def _environment(more: tuple[str, ...]) -> dict[str, str]:
    kept = child_environment(more)
    earlier = kept.get("PYTHONPATH")
    kept["PYTHONPATH"] = os.pathsep.join([str(_PACKAGE_ROOT), *([earlier] if earlier else [])])
    return kept


def _send(child: subprocess.Popen[bytes], job: dict[str, Any]) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(job).encode())
        child.stdin.close()
    except BrokenPipeError:
        return  # it died at once; its stderr and exit status tell why


def _listen(
    child: subprocess.Popen[bytes],
    read_end: int,
    timeout_s: float,
    progress: Callable[[str], None] | None,
    kind: Child,
    is_stopped: Callable[[], bool] | None,
) -> tuple[dict[str, Any] | None, str]:
    """The child's last message (None if there was none) and the end of its stderr."""
    assert child.stderr is not None
    deadline = time.monotonic() + timeout_s
    answer: dict[str, Any] | None = None
    pending, complaint = b"", b""
    stderr = child.stderr.fileno()
    with selectors.DefaultSelector() as waiting:
        waiting.register(read_end, selectors.EVENT_READ)
        waiting.register(stderr, selectors.EVENT_READ)
        while read_end in waiting.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise kind.failure(
                    f"{kind.task} took longer than {timeout_s:g} s and was stopped: {kind.remedy}"
                )
            if is_stopped is not None:
                if is_stopped():
                    raise UnavailableError(f"{kind.task} was stopped")
                left = min(left, _POLL_S)
            for key, _ in waiting.select(left):
                data = os.read(key.fd, 1 << 16)
                if not data:
                    waiting.unregister(key.fd)
                elif key.fd == stderr:
                    complaint = (complaint + data)[-_KEPT_STDERR_BYTES:]
                else:
                    *lines, pending = (pending + data).split(b"\n")
                    if len(pending) > _MOST_MESSAGE_BYTES:
                        raise kind.failure(f"the {kind.name} said more than it may")
                    for line in lines:
                        answer = _message(line, progress, kind) or answer
    return answer, complaint.decode(errors="replace").strip()


def _message(
    line: bytes, progress: Callable[[str], None] | None, kind: Child
) -> dict[str, Any] | None:
    try:
        message = foreign_json(line)
    except ValueError as error:  # a file that it opened may have taken it over
        raise kind.failure(f"the {kind.name} said what cannot be understood") from error
    if not isinstance(message, dict):
        return None
    if "progress" not in message:
        return message
    if progress is not None:
        progress(str(message["progress"])[:200])
    return None


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """End the child and everything that it started (it leads a session of its own)."""
    for stream in (child.stderr, child.stdin):
        if stream is not None:
            stream.close()
    try:
        if child.poll() is None:
            child.wait(timeout=1)
    except subprocess.TimeoutExpired:
        child.kill()
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        child.wait()
        return
    child.wait()


def _judge(answer: dict[str, Any] | None, complaint: str, status: int | None, kind: Child) -> Any:
    if answer is not None and answer.get("done"):
        return answer.get("result")
    error = (answer or {}).get("error")
    if isinstance(error, dict):
        errors = _ERRORS | {one.__name__: one for one in kind.errors}
        raised = errors.get(str(error.get("code")), kind.failure)
        raise raised(str(error.get("message")), **dict(error.get("details") or {}))
    if status == -signal.SIGXCPU or status == -signal.SIGKILL:
        how = f"was stopped by the system (signal {-status}): too much time or memory"
    elif status is not None and status < 0:
        how = f"crashed with signal {-status}: the file is damaged or hostile"
    else:
        how = f"ended with status {status}"
    last = complaint.splitlines()[-1][:300] if complaint else ""
    raise kind.failure(f"the {kind.name} {how}" + (f" ({last})" if last else ""))
