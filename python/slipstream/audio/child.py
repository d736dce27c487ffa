"""``python -m slipstream.audio.child KIND OPTIONS``: a process that does one sort of speech work.

The server speaks to it in `frames`, over its standard input and output. It opens what the kind
needs, says ``ready`` (or ``failed``), and does one job at a time. Its end is the end of its input.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from slipstream.audio.frames import Frame, pack, read
from slipstream.convert.limits import confine

KINDS = ("phonemes", "faster_whisper", "whisper", "pipeline")
_LONGEST_MESSAGE = 2000
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

Emit = Callable[[dict[str, Any], bytes], None]


class CancelledJobError(Exception):
    """The server withdrew the job."""


class Job(Protocol):
    """What a worker is told of the job that it does."""

    body: dict[str, Any]
    payload: bytes

    def emit(self, body: dict[str, Any], payload: bytes = b"") -> None:
        """Sends a part of the answer; raises `CancelledJobError` if nobody wants it any more."""


class Worker(Protocol):
    """What a kind's ``open_worker(options)`` returns."""

    def run(self, job: Job) -> tuple[dict[str, Any], bytes]:
        """The whole answer; raises `SlipstreamError` for what is the request's fault."""


class _Jobs:
    """Reads what the server asks on a thread of its own, so that a cancelled job learns of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._asked: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._withdrawn: set[int] = set()
        threading.Thread(target=self._read, name="jobs", daemon=True).start()

    def _read(self) -> None:
        while (frame := read(self._stream)) is not None:
            if "cancel" in frame.head:
                self._withdrawn.add(frame.head["number"])
            else:
                self._asked.put(frame)
        # The server has ended, or wants this process to: also in the middle of a job.
        os._exit(0)

    def next(self) -> Frame:
        """Waits for one; the process ends where there are no more."""
        frame = self._asked.get()
        assert frame is not None
        return frame

    def is_withdrawn(self, number: int) -> bool:
        """Whether the server no longer wants that job."""
        return number in self._withdrawn

    def forget(self, number: int) -> None:
        """The job has ended; what is said of it from now on comes too late."""
        self._withdrawn -= {one for one in self._withdrawn if one <= number}


class _Running:
    """One job, with its way back."""

    def __init__(self, frame: Frame, jobs: _Jobs, answer_to: BinaryIO) -> None:
        self.number: int = frame.head["number"]
        self.body: dict[str, Any] = frame.head["ask"]
        self.payload = frame.payload
        self._jobs = jobs
        self._answer_to = answer_to

    def emit(self, body: dict[str, Any], payload: bytes = b"") -> None:
        """See `Job`."""
        if self._jobs.is_withdrawn(self.number):
            raise CancelledJobError
        write(self._answer_to, {"number": self.number, "part": body}, payload)


def main(arguments: list[str]) -> int:
    """The life of a child; the exit status is 0 whenever it could say what went wrong."""
    kind, options = arguments[0], json.loads(arguments[1])
    answer_to = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # libraries print; the way back is for answers alone
    os.environ.update(_OFFLINE)
    confine(options.get("memory_limit_mb"), None, nice=options["nice"])
    if os.getppid() != options["parent"]:  # it ended before we would have been told
        return 0
    try:
        worker: Worker = importlib.import_module(f"slipstream.audio.kinds.{kind}").open_worker(
            options
        )
    except Exception as error:
        what = f"{Path(options['folder']).name} cannot be opened" if "folder" in options else ""
        failed = described(error, "ModelLoadError", what or f"{kind} cannot start")
        if "folder" in options:  # where it lies is nobody's business who asks over HTTP
            failed["text"] = failed["text"].replace(f"{Path(options['folder']).parent}/", "")
        write(answer_to, {"number": 0, "failed": failed})
        return 0
    write(answer_to, {"number": 0, "done": getattr(worker, "about", {})})
    jobs = _Jobs(sys.stdin.buffer)
    while True:
        job = _Running(jobs.next(), jobs, answer_to)
        if jobs.is_withdrawn(job.number):
            write(answer_to, {"number": job.number, "failed": described(CancelledJobError())})
            continue
        try:
            done, payload = worker.run(job)
            write(answer_to, {"number": job.number, "done": done}, payload)
        except Exception as error:  # the last seam: a traceback is no answer
            write(answer_to, {"number": job.number, "failed": described(error)})
        jobs.forget(job.number)


def described(
    error: Exception, kind: str = "InferenceError", what: str = "it failed"
) -> dict[str, Any]:
    """An exception as data: its kind, and what is to be said of it.

    Args:
        error: Any.
        kind: Of the error that stands for one that is not ours.
        what: How its text begins then.
    """
    from slipstream.errors import MissingDependencyError, SlipstreamError

    if isinstance(error, SlipstreamError):
        plain = {key: value for key, value in error.details.items() if _is_plain(value)}
        return {"kind": type(error).__name__, "text": error.message, "details": plain}
    if isinstance(error, CancelledJobError):
        return {"kind": "RequestCancelledError", "text": "the request was withdrawn", "details": {}}
    if isinstance(error, ImportError):
        text = f"{error}: install what speech needs with pip install 'slipstream[audio]'"
        return {"kind": MissingDependencyError.__name__, "text": text, "details": {}}
    if isinstance(error, MemoryError):
        text = f"{what}: it needs more memory than is allowed"
        return {"kind": kind, "text": text, "details": {}}
    traceback.print_exception(error)  # for the server's log; nothing of it is answered
    return {"kind": kind, "text": f"{what}: {error!r}"[:_LONGEST_MESSAGE], "details": {}}


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | list)


def write(answer_to: BinaryIO, head: dict[str, Any], payload: bytes = b"") -> None:
    """Sends one message, whole."""
    for piece in pack(head, payload):
        view = memoryview(piece)
        while view:
            view = view[answer_to.write(view) or 0 :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
