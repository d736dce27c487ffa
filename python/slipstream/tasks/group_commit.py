"""One thread that writes to SQLite: whatever waits goes into one transaction, and costs one fsync.

While a transaction is being made durable, the next writes gather; so the more is asked of it, the
more each fsync carries. Nobody is told of a write before it is on the disk.

Threads: `add` on any; actions on the writer's own; ``done`` on the event loop's.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from slipstream.errors import SlipstreamError, UnavailableError
from slipstream.own_threads import call_thread

log = logging.getLogger("slipstream.tasks")
_RETRY_S = 0.5

Action = Callable[[sqlite3.Connection], Any]
Done = Callable[[Any], None]


class Write(NamedTuple):
    """One change. ``action`` may be run again after a rollback, so it touches the database only."""

    action: Action
    done: Done | None = None
    """Gets what the action returned once that is durable, or an exception."""
    essential: bool = False
    """Tried until the disk takes it: there is nobody to give the failure to."""


class GroupCommit:
    """The writer. The database is opened by the first write, so that an unused one never exists."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], call: Callable[[Callable[[], None]], Any]
    ) -> None:
        """``call`` runs a function on the event loop's thread; ``connect`` runs on the writer's."""
        self._connect = connect
        self._call = call
        self._connection: sqlite3.Connection | None = None
        self._changed = threading.Condition()
        self._waiting: list[Write] = []
        self._closing = False
        self._complained = False
        self.transactions = 0
        self.writes = 0
        """Made durable, in so many transactions."""
        self._thread = threading.Thread(target=self._run, name="slipstream-task-writer")
        self._thread.start()

    def add(self, write: Write) -> None:
        """Hands a change to the writer."""
        with self._changed:
            if not self._closing:
                self._waiting.append(write)
                self._changed.notify()
                return
        if write.done is not None:
            self._tell([(write.done, UnavailableError("The server is shutting down"))])

    def close(self) -> None:
        """Writes what waits, closes the database and ends the thread. Blocks."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        call_thread("task-writer")
        while batch := self._next():
            kept = self._commit(batch)
            if kept and not self._pause(kept):
                break
        if self._connection is not None:
            self._connection.close()

    def _next(self) -> list[Write]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            batch, self._waiting = self._waiting, []
            return batch

    def _pause(self, kept: list[Write]) -> bool:
        """Waits before ``kept`` is tried again; False when the server ends meanwhile."""
        with self._changed:
            self._waiting = kept + self._waiting
            return not self._changed.wait_for(lambda: self._closing, _RETRY_S)

    def _commit(self, batch: list[Write]) -> list[Write]:
        """Makes a batch durable and tells of it; returns what must be tried again."""
        try:
            results = self._transaction(batch)
        except Exception as error:
            if len(batch) == 1 or _is_environment(error):
                return self._failed(batch, error)
            # It is the fault of one of them: each by itself.
            return [kept for write in batch for kept in self._commit([write])]
        self._complained = False
        self.transactions += 1
        self.writes += len(batch)
        self._tell(
            [
                (write.done, result)
                for write, result in zip(batch, results, strict=True)
                if write.done is not None
            ]
        )
        return []

    def _transaction(self, batch: list[Write]) -> list[Any]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [write.action(connection) for write in batch]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return results

    def _failed(self, batch: list[Write], error: Exception) -> list[Write]:
        if not self._complained:
            self._complained = True
            log.error("tasks cannot be stored: %s", error, exc_info=_unless_ours(error))
        may_pass = _is_environment(error)
        kept = [write for write in batch if write.essential and may_pass]
        refusal = error
        if not isinstance(error, SlipstreamError):
            refusal = UnavailableError("The task cannot be stored; the server's log explains why")
        self._tell(
            [
                (write.done, refusal)
                for write in batch
                if write.done is not None and not (write.essential and may_pass)
            ]
        )
        return kept

    def _tell(self, results: list[tuple[Done, Any]]) -> None:
        if results:
            self._call(partial(_tell_all, results))


def _is_environment(error: Exception) -> bool:
    """Whether it is the disk, a lock, a file of another kind: not what was to be written."""
    if isinstance(error, sqlite3.OperationalError | OSError | SlipstreamError):
        return True
    return type(error) is sqlite3.DatabaseError  # "file is not a database"; its kinds are not


def _unless_ours(error: Exception) -> Exception | None:
    return None if isinstance(error, SlipstreamError | sqlite3.OperationalError) else error


def _tell_all(results: list[tuple[Done, Any]]) -> None:
    for done, result in results:
        try:
            done(result)
        except Exception:  # one's fault must not cost the others their answers
            log.exception("whoever waited for a write failed")
