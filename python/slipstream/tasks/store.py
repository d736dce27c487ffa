"""Tasks on disk: SQLite in ``STATE_DIR/tasks.db``, written by group commit, read on a thread.

Every transaction is on the disk before anybody is told of it (WAL, ``synchronous=FULL``). An end is
written once: the statement that stores it finds no row when there is one already.

A lock on ``tasks.lock`` keeps a second server from running the same tasks; it goes with its
process, however that ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from slipstream.decoding import msgpack_decoder
from slipstream.errors import UnavailableError
from slipstream.own_threads import call_thread
from slipstream.tasks.group_commit import Done, GroupCommit, Write
from slipstream.tasks.records import Delivery, Outcome, Record, Task, TaskRequest

T = TypeVar("T")

_log = logging.getLogger("slipstream.tasks")
_VERSION = 1
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
TASKS_FILE = "tasks.db"
_WAL_BYTES = 64 * 1024 * 1024
PURGE_ROWS = 1000
"""Deleted in one transaction, so that others need not wait long."""

_SCHEMA = """
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    model_id TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    deadline REAL NOT NULL,
    starts INTEGER NOT NULL DEFAULT 0,
    started_at REAL,
    ended_at REAL,
    size INTEGER NOT NULL,
    callback_url TEXT,
    delivery TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL,
    last_status_code INTEGER,
    last_error TEXT,
    outcome BLOB,
    request BLOB
) STRICT;
CREATE INDEX unfinished ON tasks (seq) WHERE ended_at IS NULL;
CREATE INDEX ended ON tasks (ended_at, size) WHERE ended_at IS NOT NULL;
CREATE INDEX due ON tasks (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
"""
_INSERT = """
INSERT INTO tasks
    (task_id, status, model_id, accepted_at, deadline, size, callback_url, delivery, request)
VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?)
"""
_START = """
UPDATE tasks SET status = 'running', started_at = ?, starts = starts + 1
WHERE task_id = ? AND ended_at IS NULL
"""
_END = """
UPDATE tasks SET status = ?, started_at = ?, ended_at = ?, outcome = ?, size = ?, request = NULL,
    next_attempt_at = CASE WHEN callback_url IS NULL THEN NULL ELSE ? END
WHERE task_id = ? AND ended_at IS NULL
"""
_ATTEMPTED = """
UPDATE tasks SET delivery = ?, attempts = ?, next_attempt_at = ?, last_status_code = ?,
    last_error = ?
WHERE task_id = ?
"""
_READ = """
SELECT status, model_id, accepted_at, started_at, ended_at, outcome, callback_url, delivery,
    attempts, next_attempt_at, last_status_code, last_error
FROM tasks WHERE task_id = ?
"""
_UNFINISHED = """
SELECT task_id, request, accepted_at, deadline, callback_url, starts
FROM tasks WHERE ended_at IS NULL ORDER BY seq
"""
_DUE = """
SELECT task_id, next_attempt_at FROM tasks
WHERE next_attempt_at IS NOT NULL ORDER BY next_attempt_at LIMIT ?
"""
_PURGEABLE = """
SELECT seq, size FROM tasks
WHERE ended_at IS NOT NULL AND ended_at <= ? AND delivery IS NOT 'pending'
ORDER BY ended_at LIMIT ?
"""

_encode_request = msgspec.msgpack.Encoder().encode
_decode_request = msgpack_decoder(TaskRequest)


class Recovered(NamedTuple):
    """What a database holds when it is opened."""

    tasks: list[Task]
    """Those that have not ended, in order of acceptance."""
    ended: int
    ended_bytes: int
    damage: str | None = None
    """Why the database of an earlier server could not be read, and was set aside."""


class TaskStore:
    """The database of one server. All methods on the event loop's thread; none of them blocks."""

    def __init__(
        self,
        folder: Path,
        call: Callable[..., Any],
        on_open: Callable[[Recovered], None],
    ) -> None:
        """``call``: the loop's ``call_soon_threadsafe``; ``on_open`` runs on its thread, first."""
        self._file = folder / TASKS_FILE
        self._call = call
        self._on_open = on_open
        self._lock_fd = -1
        self._reading: sqlite3.Connection | None = None
        self.writer = GroupCommit(self._open, call)
        self._reader = ThreadPoolExecutor(
            1, "slipstream-task-reader", call_thread, ("task-reader",)
        )

    @property
    def exists(self) -> bool:
        """Whether there is a database of an earlier server, or of this one."""
        return self._file.exists()

    def open(self, done: Done | None, *, until_it_works: bool = False) -> None:
        """Opens the database; ``done`` gets None, or why that failed.

        With ``until_it_works`` again and again: another server may have it, and let it go.
        """
        self.writer.add(Write(lambda _: None, done, essential=until_it_works))

    def insert(self, task: Task, done: Done) -> None:
        """Stores a new task; ``done`` gets None, or why it could not be stored."""
        values = (
            task.task_id,
            task.request.model_id,
            task.accepted_at,
            task.deadline,
            task.size,
            task.callback_url,
            None if task.callback_url is None else "pending",
            _encode_request(task.request),
        )
        self.writer.add(Write(partial(_execute, _INSERT, values), done))

    def note_start(self, task: Task, done: Done | None = None) -> None:
        """Stores that a task began to run."""
        values = (task.started_at, task.task_id)
        self.writer.add(Write(partial(_execute, _START, values), done, essential=done is not None))

    def end(self, task: Task, outcome: Outcome, done: Done) -> None:
        """Stores how a task ended; ``done`` gets how many rows that changed: 1, or 0."""
        values = (
            outcome.status,
            task.started_at,
            outcome.ended_at,
            outcome.body,
            len(outcome.body),
            outcome.ended_at,
            task.task_id,
        )
        self.writer.add(Write(partial(_execute, _END, values), done, essential=True))

    def note_attempt(self, task_id: str, delivery: Delivery, done: Done) -> None:
        """Stores what became of an attempt to call back."""
        values = (
            delivery.status,
            delivery.attempts,
            delivery.next_attempt_at,
            delivery.last_status_code,
            delivery.last_error,
            task_id,
        )
        self.writer.add(Write(partial(_execute, _ATTEMPTED, values), done, essential=True))

    def purge(self, ended_before: float, done: Done) -> None:
        """Deletes tasks that ended before, oldest first, but for those still to be delivered.

        ``done`` gets (number of them, bytes of their outcomes); there may be more.
        """
        self.writer.add(Write(partial(_purge, ended_before), done))

    def read(self, task_id: str) -> Future[Record | None]:
        """A task as it is stored, unknown ones None."""
        return self._read(partial(_read, task_id))

    def due(self, limit: int) -> Future[list[tuple[str, float]]]:
        """The next deliveries: (task_id, when), the earliest first."""
        return self._read(lambda connection: connection.execute(_DUE, (limit,)).fetchall())

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> Future[T]:
        return self._reader.submit(self._query, query)

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._reading is None:
            self._reading = _connect(self._file, "ro")
        return query(self._reading)

    def close(self) -> None:
        """Stores what waits to be, and closes the database. Idempotent.

        Blocks: not to be called on the loop's thread.
        """
        self.writer.close()
        self._reader.shutdown()
        if self._reading is not None:
            self._reading.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _open(self) -> sqlite3.Connection:
        """Called on the writer's thread."""
        folder = self._file.parent
        folder.mkdir(parents=True, exist_ok=True)
        if self._lock_fd < 0:
            self._lock_fd = _locked(folder / "tasks.lock")
        damage = None
        try:
            connection, recovered = self._opened()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:  # not all have one
                raise
            damage = str(error)
            _set_aside(self._file, damage)
            connection, recovered = self._opened()
        self._call(partial(self._on_open, recovered._replace(damage=damage)))
        return connection

    def _opened(self) -> tuple[sqlite3.Connection, Recovered]:
        os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))  # rows are nobody's business
        connection = _connect(self._file, "rw")
        try:
            for pragma in (
                "journal_mode = WAL",
                "synchronous = FULL",
                f"journal_size_limit = {_WAL_BYTES}",
            ):
                connection.execute(f"PRAGMA {pragma}")
            _make_tables(connection, self._file)
            return connection, _recovered(connection)
        except BaseException:
            connection.close()
            raise


def _set_aside(file: Path, damage: str) -> None:
    """So that it can be looked at, and does not keep this server from taking tasks."""
    for path in (file, *(file.with_name(file.name + part) for part in ("-wal", "-shm"))):
        if path.exists():
            path.replace(path.with_name(path.name + ".damaged"))
    _log.error(
        "%s cannot be read, so the tasks in it are not taken up: %s; it is kept as %s",
        *(file, damage, file.name + ".damaged"),
    )


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    # No isolation level: transactions are ours. One thread at a time uses it.
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def _locked(path: Path) -> int:
    """A descriptor that holds the lock.

    Raises:
        UnavailableError: another process holds it.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UnavailableError(
            "Another server uses this state directory, so async predictions are off here; give "
            "each server its own STATE_DIR"
        ) from None
    return descriptor


def _make_tables(connection: sqlite3.Connection, file: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise UnavailableError(
            f"{file.name} was made by another version of slipstream (format {version}, this one "
            f"knows {_VERSION}); set another STATE_DIR, or move the file away"
        )
    if version == 0:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")


def _recovered(connection: sqlite3.Connection) -> Recovered:
    tasks = []
    for task_id, request, accepted_at, deadline, callback_url, starts in connection.execute(
        _UNFINISHED
    ):
        task = Task(task_id, _decode_request(request), accepted_at, deadline, callback_url, starts)
        task.recovered = True
        tasks.append(task)
    query = "SELECT count(*), ifnull(sum(size), 0) FROM tasks WHERE ended_at IS NOT NULL"
    return Recovered(tasks, *connection.execute(query).fetchone())


def _execute(sql: str, values: Sequence[Any], connection: sqlite3.Connection) -> int:
    return connection.execute(sql, values).rowcount


def _purge(ended_before: float, connection: sqlite3.Connection) -> tuple[int, int]:
    rows = connection.execute(_PURGEABLE, (ended_before, PURGE_ROWS)).fetchall()
    connection.executemany("DELETE FROM tasks WHERE seq = ?", [(seq,) for seq, _ in rows])
    return len(rows), sum(size for _, size in rows)


def _read(task_id: str, connection: sqlite3.Connection) -> Record | None:
    row = connection.execute(_READ, (task_id,)).fetchone()
    if row is None:
        return None
    status, model_id, accepted_at, started_at, ended_at, outcome, url, *progress = row
    delivery = None if url is None else Delivery(url, *progress)
    return Record(task_id, status, model_id, accepted_at, started_at, ended_at, outcome, delivery)
