"""One download as it goes on: what is wanted, what there is of it, and how it ended."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

from slipstream.downloads.plan import Plan, PlannedFile, Wanted
from slipstream.errors import SlipstreamError

Status = Literal["queued", "downloading", "completed", "failed", "cancelled"]
FileStatus = Literal["waiting", "downloading", "verifying", "done"]

_RATE_S = 5.0
"""The rate is that of the last seconds."""


class FileState(NamedTuple):
    """One file at one moment."""

    file: PlannedFile
    status: FileStatus
    size_bytes: int
    """What is there."""
    sha256: str | None
    """As announced, or as measured when it was done."""


class Job:
    """Thread-safe; changed by the thread that works on it, and by whoever cancels it."""

    def __init__(self, job_id: str, wanted: Wanted, plan: Plan, folder: str) -> None:
        self.job_id = job_id
        self.wanted = wanted
        self.plan = plan
        self.folder = folder
        """Name of the download's folder. Where its source does not tell contents apart, what
        came decides, and it is another one when the download is complete."""
        self.created_at = time.time()
        """Seconds since the epoch, as the other moments."""
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.status: Status = "queued"
        self.error: SlipstreamError | None = None
        """Why it failed."""
        self._lock = threading.Lock()
        self._files = [FileState(file, "waiting", 0, file.sha256) for file in plan.files]
        self._looks: deque[tuple[float, int]] = deque()
        self._is_cancelled = threading.Event()
        self._is_taken = False
        self._waiters: list[Callable[[], None]] = []

    @property
    def is_cancelled(self) -> bool:
        """Whether it is to end."""
        return self._is_cancelled.is_set()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.ended_at is not None

    @property
    def files(self) -> list[FileState]:
        """Each file, as it is now."""
        with self._lock:
            return list(self._files)

    @property
    def bytes_done(self) -> int:
        """Of all files."""
        return sum(state.size_bytes for state in self.files)

    @property
    def rate_bytes_per_s(self) -> float | None:
        """Over the last seconds; None where nothing is being downloaded, or it has just begun."""
        with self._lock:
            if self.status != "downloading" or len(self._looks) < 2:
                return None
            (then_s, before), (now_s, now) = self._looks[0], self._looks[-1]
            return (now - before) / (now_s - then_s) if now_s > then_s else None

    def starts(self) -> bool:
        """Whether nobody has asked this before."""
        with self._lock:
            self._is_taken, was_taken = True, self._is_taken
            return not was_taken

    def begin(self) -> bool:
        """It is being worked on from now on; False where it was cancelled before."""
        with self._lock:
            if self.has_ended:
                return False
            self.status, self.started_at = "downloading", time.time()
            return True

    def heard(self, text: str) -> None:
        """What the child says: ``NUMBER BYTES [verifying | done SHA256]``."""
        number, size, *more = text.split()
        with self._lock:
            place, size_bytes = int(number), int(size)
            before = self._files[place]
            status: FileStatus = "downloading"
            sha256 = before.sha256
            if more:
                status = "done" if more[0] == "done" else "verifying"
                sha256 = more[1] if len(more) > 1 else sha256
            self._files[place] = FileState(before.file, status, size_bytes, sha256)
            now_s = time.monotonic()
            self._looks.append((now_s, sum(one.size_bytes for one in self._files)))
            while len(self._looks) > 2 and now_s - self._looks[0][0] > _RATE_S:
                self._looks.popleft()

    def end(self, status: Status, error: SlipstreamError | None = None) -> None:
        """How it ended; the first to say so is right."""
        with self._lock:
            if self.has_ended:
                return
            self.status, self.error, self.ended_at = status, error, time.time()
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter()

    def cancel(self) -> bool:
        """Has it end; False where it has already."""
        with self._lock:
            if self.has_ended:
                return False
            self._is_cancelled.set()
            has_begun = self.started_at is not None
        if not has_begun:
            self.end("cancelled")
        return True

    def when_ended(self, waiter: Callable[[], None]) -> None:
        """Calls it once, on any thread; at once where it has ended already."""
        with self._lock:
            if not self.has_ended:
                self._waiters.append(waiter)
                return
        waiter()

    def wait_no_more(self, waiter: Callable[[], None]) -> None:
        """Takes a waiter back, if it still waits."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
