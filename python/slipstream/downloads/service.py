"""The downloads of a server: resolved, queued, fetched by children, kept for a while.

A download is a folder of its own in ``MODEL_DIR/downloads``, named by what it holds, and comes into
being by one rename, when every file of it is there and verified. Until then its files are in
``downloads/.partial``, from where another attempt goes on, also after a restart.

Threads: `accept` blocks, on a thread of the caller's; everything else is quick, on any thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from slipstream.downloads.index import Downloaded, DownloadedFile, Index
from slipstream.downloads.job import Job
from slipstream.downloads.plan import (
    Order,
    Plan,
    Wanted,
    folder_name,
    is_told_apart,
    plan_of,
    require_valid,
)
from slipstream.errors import (
    BacklogFullError,
    DownloadEndedError,
    DownloadNotFoundError,
    DownloadRefusedError,
    NetworkError,
    SlipstreamError,
    SourceNotFoundError,
    UnavailableError,
)
from slipstream.models.converter import Child, run_child
from slipstream.own_threads import call_thread
from slipstream.settings import Settings

FOLDER = "downloads"
_PARTIAL = ".partial"
_MIB = 1 << 20
_RESOLVE_S = 30.0
_FETCH_S = 7 * 86_400.0
_MOST_WAITING = 16
_MOST_KEPT = 100
_KEPT_S = 3600.0
_PARTIAL_KEPT_S = 14 * 86_400.0
_SPARE_BYTES = 64 * _MIB
_log = logging.getLogger("slipstream.downloads")

CHILD = Child(
    "slipstream.downloads.child",
    "download process",
    "downloading",
    "try again: it goes on where it was",
    NetworkError,
    environment=(
        *("HF_ENDPOINT", "HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN"),
        *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN"),
        *("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT", "XDG_CACHE_HOME"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    ),
    errors=(DownloadRefusedError, NetworkError, SourceNotFoundError, UnavailableError),
)


class Downloads:
    """All downloads of one server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = settings.model_dir / FOLDER
        self.index = Index(settings.state_path)
        self._lock = threading.Lock()
        self._moving = threading.Lock()
        self._in_use: set[str] = set()  # names of partial folders; with the lock for moves
        self._jobs: dict[str, Job] = {}  # in order of creation
        self._turns: dict[str, threading.Lock] = {}  # by folder, of jobs that are known
        self._workers = ThreadPoolExecutor(
            settings.download_max_running, "slipstream-download", call_thread, ("download",)
        )
        self._is_closed = threading.Event()

    def accept(self, wanted: Wanted) -> Job:
        """Resolves what is wanted; blocks. `start` has it fetched.

        The same once more, while it is being fetched, is the same job.

        Raises:
            InvalidInputError: it cannot be asked for.
            SourceNotFoundError, DownloadRefusedError: its source does not have it, or it is not
                allowed.
            NetworkError: the network, or its source, is not there.
            BacklogFullError: as many downloads wait as may.
            UnavailableError: there is no room on the disk, or the server is shutting down.
        """
        require_valid(wanted)
        if self._is_closed.is_set():
            raise UnavailableError("The server is shutting down")
        plan = plan_of(
            self._run(
                Order(
                    action="resolve",
                    wanted=wanted,
                    timeout_s=_RESOLVE_S,
                    most_bytes=self._most_bytes,
                ),
                self._is_closed.is_set,
            )
        )
        folder = folder_name(wanted, plan)
        self._require_room(wanted, plan, folder)
        with self._lock:
            self._forget_old()
            for job in self._jobs.values():
                if job.folder == folder and not (job.has_ended or job.is_cancelled):
                    return job
            job = Job(f"download_{secrets.token_hex(8)}", wanted, plan, folder)
            if is_told_apart(wanted, plan) and self._is_there(folder):
                job.starts()
                _fill(job, self.index.find(folder))
                self._jobs[job.job_id] = job
                return job
            waiting = sum(1 for one in self._jobs.values() if not one.has_ended)
            if waiting >= _MOST_WAITING + self._settings.download_max_running:
                raise BacklogFullError(
                    f"{waiting} downloads are running and waiting, as many as may; try again later",
                    retry_after_s=30,
                )
            self._jobs[job.job_id] = job
        return job

    def start(self, job: Job) -> None:
        """Has a job fetched that `accept` returned; nothing where that was done already."""
        if not job.starts():
            return
        try:
            self._workers.submit(self._work, job)
        except RuntimeError:  # the server is shutting down
            job.end("cancelled")

    def find(self, job_id: str) -> Job:
        """The job of that id.

        Raises:
            DownloadNotFoundError: there is none, or it ended long ago.
        """
        with self._lock:
            self._forget_old()
            job = self._jobs.get(job_id)
        if job is None:
            raise DownloadNotFoundError(
                f"There is no download '{job_id}': its end is told for an hour", job_id=job_id
            )
        return job

    def all(self) -> list[Job]:
        """Every job that is known, in order of creation."""
        with self._lock:
            self._forget_old()
            return list(self._jobs.values())

    def cancel(self, job_id: str) -> Job:
        """Has a job end; what is there of it stays for another attempt.

        Raises:
            DownloadNotFoundError: as `find`.
            DownloadEndedError: it has ended already.
        """
        job = self.find(job_id)
        if not job.cancel():
            raise DownloadEndedError(
                f"Download '{job_id}' cannot be cancelled: it is {job.status}", status=job.status
            )
        return job

    @property
    def is_busy(self) -> bool:
        """Whether a child is at work."""
        return any(not job.has_ended for job in list(self._jobs.values()))

    def close(self) -> None:
        """Ends all of them, and returns at once."""
        self._is_closed.set()
        for job in self.all():
            job.cancel()
        self._workers.shutdown(wait=False, cancel_futures=True)

    @property
    def _most_bytes(self) -> int:
        return self._settings.download_max_mb * _MIB

    def _run(
        self,
        order: Order,
        is_stopped: Callable[[], bool],
        progress: Callable[[str], None] | None = None,
    ) -> Any:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(error) from error
        order = msgspec.structs.replace(
            order,
            allowed_hosts=self._settings.download_allowed_hosts,
            private_hosts=self._settings.download_private_hosts,
        )
        job: dict[str, Any] = msgspec.to_builtins(order)
        return run_child(job, self._root, order.timeout_s, progress, CHILD, is_stopped)

    def _is_there(self, folder: str) -> bool:
        found = self.index.find(folder)
        return found is not None and all(
            (self._root / folder / file.path).is_file() for file in found.files
        )

    def _require_room(self, wanted: Wanted, plan: Plan, folder: str) -> None:
        size = plan.size_bytes
        if size is None or (is_told_apart(wanted, plan) and self._is_there(folder)):
            return
        if size > self._most_bytes:
            remedy = "its operator may allow more"
            if wanted.url is None:
                remedy = "choose some of its files by 'files'"
            raise DownloadRefusedError(
                f"{wanted.title} has {size / _MIB:.1f} MiB, more than the "
                f"{self._settings.download_max_mb} that are allowed (DOWNLOAD_MAX_MB): {remedy}",
                size_bytes=size,
                max_bytes=self._most_bytes,
            )
        free = shutil.disk_usage(self._root).free
        if size + _SPARE_BYTES > free + _size_of(self._root / _PARTIAL / folder):
            raise UnavailableError(
                f"{wanted.title} has {size / _MIB:.1f} MiB, and there are {free / _MIB:.1f} free "
                "where MODEL_DIR is: make room there"
            )

    def _work(self, job: Job) -> None:
        if not job.begin():
            return
        began_s = time.monotonic()
        try:
            self._fetch(job)
        except SlipstreamError as error:
            is_cancelled = job.is_cancelled or self._is_closed.is_set()
            job.end("cancelled" if is_cancelled else "failed", None if is_cancelled else error)
            _log.warning("download of %s ended: %s", job.wanted.title, error.message)
        except Exception as error:  # whoever asks for the job must hear of it
            job.end("failed", UnavailableError("The server failed on it; its log explains why"))
            _log.error("download of %s failed", job.wanted.title, exc_info=error)
        else:
            job.end("completed")
            took_s = time.monotonic() - began_s
            _log.info("downloaded %s into %s in %.1f s", job.wanted.title, job.folder, took_s)

    def _fetch(self, job: Job) -> None:
        with self._lock:
            turn = self._turns.setdefault(job.folder, threading.Lock())
        with turn:  # one that was just cancelled may be at its end, and write there
            self._fetch_in_turn(job)

    def _fetch_in_turn(self, job: Job) -> None:
        if job.is_cancelled:
            raise UnavailableError("it was cancelled")
        name = job.folder
        partial = self._root / _PARTIAL / name
        try:
            with self._moving:
                self._in_use.add(name)
                partial.mkdir(parents=True, exist_ok=True)
                self._sweep()
            self._fill_partial(job, partial)
        except OSError as error:
            raise _unwritable(error) from error
        finally:
            with self._moving:
                self._in_use.discard(name)
                is_lost = job.wanted.url is not None and not job.plan.validator
                if is_lost or not _size_of(partial):  # nobody could go on with it
                    shutil.rmtree(partial, ignore_errors=True)
                self._sweep()

    def _fill_partial(self, job: Job, partial: Path) -> None:
        """Has the files fetched, and moves them to where they belong."""
        order = Order(
            action="fetch",
            wanted=job.wanted,
            timeout_s=_FETCH_S,
            most_bytes=self._most_bytes,
            plan=job.plan,
            folder=str(partial.resolve()),
        )
        came = self._run(order, lambda: job.is_cancelled or self._is_closed.is_set(), job.heard)
        folder = job.folder
        if job.wanted.url is not None:  # it may have changed since it was resolved
            plan = msgspec.structs.replace(job.plan, validator=str(came["validator"]))
            folder = folder_name(job.wanted, plan, job.files[0].sha256 or "")
        with self._moving:
            self._move(job, partial, folder)
        job.folder = folder

    def _move(self, job: Job, partial: Path, folder: str) -> None:
        """One move at a time: two downloads may turn out to be of the same content."""
        if self._is_there(folder):
            shutil.rmtree(partial)
            return
        target = self._root / folder
        if target.exists():  # somebody took files out of it, or its index was lost
            shutil.rmtree(target)
        os.replace(partial, target)
        self.index.note(
            Downloaded(
                folder=folder,
                files=tuple(
                    DownloadedFile(
                        path=state.file.path,
                        size_bytes=state.size_bytes,
                        sha256=state.sha256 or "",
                    )
                    for state in job.files
                ),
                downloaded_at=time.time(),
                model_name=job.wanted.model_name,
                revision=job.wanted.revision,
                commit=job.plan.commit,
                url=job.wanted.shown_url,
            )
        )

    def _sweep(self) -> None:
        """Removes what nobody has gone on with for long, and the oldest of what is too much.

        What is not being worked on may have as many bytes together as one download. With the lock
        for moves.
        """
        try:
            there = list((self._root / _PARTIAL).iterdir())
            idle = [(_changed_at(one), one) for one in there if one.name not in self._in_use]
        except OSError:  # a broom stops nobody
            return
        left = self._most_bytes
        for changed_at, folder in sorted(idle, reverse=True):
            left -= _size_of(folder)
            if left < 0 or time.time() - changed_at > _PARTIAL_KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)

    def _forget_old(self) -> None:
        """Ends are told for a while, and only so many. With the lock."""
        ended = [job for job in self._jobs.values() if job.has_ended]
        surplus = max(0, len(self._jobs) - _MOST_KEPT)
        for place, job in enumerate(ended):
            if place < surplus or time.time() - (job.ended_at or 0.0) > _KEPT_S:
                del self._jobs[job.job_id]
        folders = {job.folder for job in self._jobs.values()}
        self._turns = {name: turn for name, turn in self._turns.items() if name in folders}


def _unwritable(error: OSError) -> UnavailableError:
    return UnavailableError(
        f"nothing can be written where downloads go ({error.strerror}): make {FOLDER} in MODEL_DIR "
        "writable, or make room there"
    )


def _files_in(folder: Path) -> Iterator[os.stat_result]:
    """What is known of each file; one that is being moved away meanwhile is not there any more."""
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                yield os.lstat(os.path.join(path, name))


def _size_of(folder: Path) -> int:
    return sum(file.st_size for file in _files_in(folder))


def _changed_at(folder: Path) -> float:
    """When somebody wrote there last, in seconds since the epoch."""
    return max(folder.stat().st_mtime, *(file.st_mtime for file in _files_in(folder)), 0.0)


def _fill(job: Job, there: Downloaded | None) -> None:
    """A job for what is there already."""
    job.begin()
    known = {} if there is None else {file.path: file for file in there.files}
    for number, file in enumerate(job.plan.files):
        found = known.get(file.path)
        if found is not None:
            job.heard(f"{number} {found.size_bytes} done {found.sha256}")
    job.end("completed")
