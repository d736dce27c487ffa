"""Tasks on disk: many writes in one transaction, nobody told too early, nothing written over."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from http_server import clean_environment, eventually
from slipstream.errors import UnavailableError
from slipstream.tasks.group_commit import GroupCommit, Write
from slipstream.tasks.records import Delivery, Outcome, Task, TaskRequest
from slipstream.tasks.store import PURGE_ROWS, Recovered, TaskStore


def connect_to(file: Path) -> Callable[[], sqlite3.Connection]:
    return lambda: sqlite3.connect(file, isolation_level=None, check_same_thread=False)


def put(value: int) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute("INSERT INTO t VALUES (?)", (value,)).rowcount


def held(release: threading.Event) -> Callable[[sqlite3.Connection], None]:
    """A write that keeps the writer busy, as a slow disk would."""

    def wait(_: sqlite3.Connection) -> None:
        assert release.wait(30)

    return wait


class Disk:
    """A writer on a table of numbers, and what it has told."""

    def __init__(self, file: Path) -> None:
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE t (x INTEGER NOT NULL CHECK (x >= 0))")
        self.file = file
        self.told: list[Any] = []
        self.writer = GroupCommit(connect_to(file), lambda call: call())

    def rows(self) -> list[int]:
        with sqlite3.connect(self.file) as connection:
            return [x for (x,) in connection.execute("SELECT x FROM t ORDER BY x")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "numbers.db")
    yield disk
    disk.writer.close()


class TestGroupCommit:
    def test_what_waits_is_one_transaction(self, disk: Disk) -> None:
        release = threading.Event()
        disk.writer.add(Write(held(release)))
        eventually(lambda: disk.writer._waiting == [])
        for value in range(500):
            disk.writer.add(Write(put(value), disk.told.append))
        release.set()
        eventually(lambda: len(disk.told) == 500)
        assert disk.writer.transactions == 2  # that of the first, and one of all the others
        assert disk.writer.writes == 501
        assert disk.rows() == list(range(500))

    def test_nobody_is_told_before_it_is_durable(self, disk: Disk) -> None:
        seen: list[list[int]] = []
        for value in range(50):
            # Another connection sees what was committed, and nothing else.
            disk.writer.add(Write(put(value), lambda _: seen.append(disk.rows())))
        eventually(lambda: len(seen) == 50)
        assert all(value in rows for value, rows in enumerate(seen))

    def test_one_that_fails_does_not_spoil_the_others(self, disk: Disk) -> None:
        release = threading.Event()
        disk.writer.add(Write(held(release)))
        for value in (1, -1, 2):
            disk.writer.add(Write(put(value), disk.told.append))
        release.set()
        eventually(lambda: len(disk.told) == 3)
        assert disk.told[0] == disk.told[2] == 1
        assert isinstance(disk.told[1], UnavailableError)
        assert "CHECK" not in disk.told[1].message  # what went wrong is for the log
        assert disk.rows() == [1, 2]

    def test_an_essential_write_is_tried_until_the_disk_takes_it(self, disk: Disk) -> None:
        with sqlite3.connect(disk.file, isolation_level=None) as other:
            disk.writer.add(Write(lambda connection: connection.execute("PRAGMA busy_timeout=1")))
            eventually(lambda: disk.writer.writes == 1)
            other.execute("BEGIN IMMEDIATE")
            disk.writer.add(Write(put(1), disk.told.append))
            eventually(lambda: len(disk.told) == 1)
            assert isinstance(disk.told[0], UnavailableError)
            disk.writer.add(Write(put(2), disk.told.append, essential=True))
            time.sleep(0.2)
            assert len(disk.told) == 1
            other.execute("ROLLBACK")
        eventually(lambda: len(disk.told) == 2)
        assert disk.rows() == [2]

    def test_closing_writes_what_waits_and_refuses_more(self, disk: Disk) -> None:
        for value in range(100):
            disk.writer.add(Write(put(value), disk.told.append))
        disk.writer.close()
        assert disk.rows() == list(range(100))
        disk.writer.add(Write(put(7), disk.told.append))
        assert isinstance(disk.told.pop(), UnavailableError)
        assert len(disk.told) == 100

    def test_a_database_that_cannot_be_opened_is_told_of(self, tmp_path: Path) -> None:
        told: list[Any] = []
        writer = GroupCommit(connect_to(tmp_path / "absent" / "x.db"), lambda call: call())
        writer.add(Write(put(1), told.append))
        eventually(lambda: len(told) == 1)
        writer.close()
        assert isinstance(told[0], UnavailableError)


def task(number: int = 0, url: str | None = None) -> Task:
    request = TaskRequest("wine", "json", b"[[1]]", True, 5, 8)
    return Task(f"task_{number}", request, 1000.0 + number, 5000.0, url)


def outcome(text: str = "{}", ended_at: float = 2000.0) -> Outcome:
    return Outcome("completed", text.encode(), ended_at)


class Opened:
    """A store whose answers are awaited."""

    def __init__(self, folder: Path) -> None:
        self.found: list[Recovered] = []
        self.store = TaskStore(folder, lambda call: call(), self.found.append)

    def wait(self, act: Callable[..., Any], *arguments: Any) -> Any:
        told: list[Any] = []
        act(*arguments, told.append)
        eventually(lambda: told != [])
        return told[0]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path)
    yield opened
    opened.store.close()


class TestStore:
    def test_nothing_is_on_disk_before_the_first_task(self, opened: Opened, tmp_path: Path) -> None:
        assert not opened.store.exists
        assert list(tmp_path.iterdir()) == []
        opened.wait(opened.store.insert, task())
        assert opened.store.exists
        assert (tmp_path / "tasks.db").stat().st_mode & 0o777 == 0o600

    def test_it_is_as_durable_as_sqlite_can_be(self, opened: Opened) -> None:
        def pragmas(connection: sqlite3.Connection) -> list[Any]:
            names = ("journal_mode", "synchronous")
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        told: list[Any] = []
        opened.store.writer.add(Write(pragmas, told.append))
        eventually(lambda: told != [])
        assert told == [["wal", 2]]  # 2: FULL

    def test_an_end_is_never_written_over(self, opened: Opened) -> None:
        one = task()
        opened.wait(opened.store.insert, one)
        assert opened.wait(opened.store.end, one, outcome('{"a":1}')) == 1
        assert opened.wait(opened.store.end, one, outcome('{"a":2}')) == 0
        opened.wait(opened.store.note_start, one)
        record = opened.store.read("task_0").result(10)
        assert record is not None
        assert (record.status, record.outcome) == ("completed", b'{"a":1}')

    def test_what_had_not_ended_is_found_again(self, opened: Opened, tmp_path: Path) -> None:
        for number in range(3):
            opened.wait(opened.store.insert, task(number, "https://example.com/"))
        opened.wait(opened.store.note_start, task(0))
        opened.wait(opened.store.end, task(1), outcome())
        opened.store.close()
        again = Opened(tmp_path)
        assert again.wait(again.store.open) is None
        (found,) = again.found
        assert [one.task_id for one in found.tasks] == ["task_0", "task_2"]
        assert [one.starts for one in found.tasks] == [1, 0]
        assert all(one.recovered and one.status == "queued" for one in found.tasks)
        assert found.tasks[0].request == task().request
        assert (found.ended, found.ended_bytes) == (1, 2)
        again.store.close()

    def test_deliveries_come_up_once_a_task_has_ended(self, opened: Opened) -> None:
        store = opened.store
        for number in range(3):
            opened.wait(store.insert, task(number, "https://example.com/" if number else None))
        assert store.due(10).result(10) == []
        for number in range(3):
            opened.wait(store.end, task(number), outcome(ended_at=3000.0 - number))
        assert store.due(10).result(10) == [("task_2", 2998.0), ("task_1", 2999.0)]
        later = Delivery("https://example.com/", "pending", 1, 9000.0, 500, "no")
        opened.wait(store.note_attempt, "task_2", later)
        assert store.due(10).result(10) == [("task_1", 2999.0), ("task_2", 9000.0)]
        record = store.read("task_2").result(10)
        assert record is not None and record.delivery == later
        done = Delivery("https://example.com/", "delivered", 2, None, 200, None)
        opened.wait(store.note_attempt, "task_2", done)
        assert store.due(10).result(10) == [("task_1", 2999.0)]

    def test_purging_spares_what_is_still_to_be_told(self, opened: Opened) -> None:
        store = opened.store
        for number in range(4):
            opened.wait(store.insert, task(number, "https://example.com/" if number == 1 else None))
        for number in range(3):
            opened.wait(store.end, task(number), outcome("[12]", ended_at=2000.0 + number))
        assert opened.wait(store.purge, 2001.0) == (1, 4)
        assert store.read("task_0").result(10) is None
        assert store.read("task_1").result(10) is not None
        done = Delivery("https://example.com/", "failed", 2, None, 500, "no")
        opened.wait(store.note_attempt, "task_1", done)
        assert opened.wait(store.purge, 9999.0) == (2, 8)
        assert store.read("task_3").result(10) is not None  # it has not ended
        assert PURGE_ROWS > 3

    def test_another_servers_database_is_left_alone(self, opened: Opened, tmp_path: Path) -> None:
        opened.wait(opened.store.insert, task())
        program = (
            "import sys, threading; from pathlib import Path\n"
            "sys.path.insert(0, 'tests'); from test_tasks_store import Opened, task\n"
            "other = Opened(Path(sys.argv[1]))\n"
            "print(other.wait(other.store.insert, task(1)), flush=True)\n"
            "told = threading.Event()\n"
            "other.store.open(lambda _: told.set(), until_it_works=True)\n"
            "assert told.wait(30); print(len(other.found[0].tasks)); other.store.close()\n"
        )
        other = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            env=clean_environment(),
            cwd=Path(__file__).parent.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        assert "Another server uses this state directory" in other.stdout.readline()
        opened.store.close()  # now it may have it, with our task in it
        assert other.communicate(timeout=60)[0] == "1\n"
        assert other.returncode == 0
        assert opened.store.exists

    def test_the_file_of_a_newer_version_is_left_as_it_is(self, tmp_path: Path) -> None:
        file = tmp_path / "tasks.db"
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA user_version = 99")
            connection.execute("CREATE TABLE tasks (x)")
        before = file.read_bytes()
        opened = Opened(tmp_path)
        refused = opened.wait(opened.store.insert, task())
        opened.store.close()
        assert isinstance(refused, UnavailableError)
        assert "another version" in refused.message
        assert file.read_bytes()[100:] == before[100:]

    def test_what_is_no_database_is_set_aside(self, tmp_path: Path) -> None:
        file = tmp_path / "tasks.db"
        file.write_bytes(b"no database at all" * 100)
        opened = Opened(tmp_path)
        assert opened.wait(opened.store.insert, task()) == 1
        opened.store.close()
        (found,) = opened.found
        assert found.damage == "file is not a database"
        assert file.with_name("tasks.db.damaged").read_bytes() == b"no database at all" * 100
