"""Async predictions as the HTTP layer sees them: submit, find, cancel.

Threads: event loop's only. Nothing here blocks it; answers come by callback.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from slipstream.errors import (
    BacklogFullError,
    TaskEndedError,
    TaskNotFoundError,
    UnavailableError,
)
from slipstream.settings import Settings
from slipstream.tasks.addresses import Target, Wall
from slipstream.tasks.callbacks import Callbacks
from slipstream.tasks.records import UNFINISHED, Outcome, Record, Task, TaskRequest
from slipstream.tasks.resolver import ResolveError, Resolver
from slipstream.tasks.runner import Runner
from slipstream.tasks.store import PURGE_ROWS, TASKS_FILE, Recovered, TaskStore

if TYPE_CHECKING:
    from slipstream.api import Engine

log = logging.getLogger("slipstream.tasks")
_PURGE_S = 1.0
_LOOKUP_S = 2.0
"""How long a submission waits to learn where its callback would go."""
_FULL_RETRY_S = 10.0
_WAITS_SHARE = 4
"""One of so many requests in progress may be one that waits for a task, so that those who only wait
do not keep others out."""

Reply = Callable[[Record | Exception], None]


class Tasks:
    """The async predictions of one server."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        render: Callable[[Record], bytes],
        resolver: Resolver | None = None,
    ) -> None:
        """To be made on the event loop that serves. ``render`` writes the JSON of GET."""
        self._engine = engine
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._wall = Wall(settings.callback_allowed_hosts)
        self._resolver = resolver or Resolver()
        self.store = TaskStore(settings.state_path, self._loop.call_soon_threadsafe, self._recover)
        self.runner = Runner(engine, self.store, settings.async_max_running, self._ended)
        self._callbacks = Callbacks(self.store, self._wall, self._resolver, settings, render)
        self._backlog = 0
        self._backlog_bytes = 0
        self._results = 0
        self._result_bytes = 0
        self._last_accepted_at = 0.0
        self._checking: set[asyncio.Task[None]] = set()
        self._free_waits = max(1, settings.max_concurrent_requests // _WAITS_SHARE)
        self._purging: asyncio.TimerHandle | None = None
        self._stopped = False
        self._stopped_at = 0.0

    async def start(self) -> None:
        """Takes up what an earlier server left, if there is anything; to be called before serving.

        A database that cannot be opened, or that another server has, is said in the log and tried
        again: the server can do all the rest.
        """
        if not self.store.exists:
            return
        opened: asyncio.Future[Exception | None] = self._loop.create_future()
        self.store.open(opened.set_result)
        if await opened is not None:
            self.store.open(None, until_it_works=True)

    def _recover(self, found: Recovered) -> None:
        if found.damage is not None:
            self._engine.absences.note(None, TASKS_FILE, found.damage)
        self._results, self._result_bytes = found.ended, found.ended_bytes
        for task in found.tasks:
            self._backlog += 1
            self._backlog_bytes += task.size
            self.runner.add(task)
        if found.tasks:
            log.info("%d tasks of an earlier server are queued again", len(found.tasks))
        if found.ended:
            self._callbacks.wake()
        self._purge()

    def submit(
        self, request: TaskRequest, timeout_ms: float, callback_url: str | None, reply: Reply
    ) -> None:
        """Accepts a task; ``reply`` gets it once it is stored, and only then will it run.

        Raises:
            InvalidInputError: the URL is not one that may be called back.
            BacklogFullError: as many tasks wait, or results are kept, as may be.
            UnavailableError: the server is shutting down.
        """
        if self._stopped:
            raise UnavailableError("The server is shutting down")
        size = len(request.data)
        target = None if callback_url is None else self._wall.target(callback_url)
        self._require_room(size)
        self._backlog += 1
        self._backlog_bytes += size
        if target is None or self._wall.is_listed(target) or target.address is not None:
            self._insert(request, timeout_ms, callback_url, reply)
            return

        def checked(error: Exception | None) -> None:
            if error is None:
                self._insert(request, timeout_ms, callback_url, reply)
            else:
                self._give_back(size)
                reply(error)

        checking = self._loop.create_task(self._check(target, checked))
        self._checking.add(checking)
        checking.add_done_callback(self._checking.discard)

    async def _check(self, target: Target, checked: Callable[[Exception | None], None]) -> None:
        """Tells early what delivery, which looks the name up again, would refuse."""
        refusal: Exception | None = None
        try:
            self._wall.check(await self._resolver.resolve(target, _LOOKUP_S), target)
        except ResolveError as error:  # perhaps not for long: deliveries are tried again
            log.info("callback_url: %s", error)
        except Exception as error:
            refusal = error
        checked(refusal)

    def _require_room(self, size: int) -> None:
        settings = self._settings
        if self._backlog >= settings.async_max_backlog:
            raise BacklogFullError(
                f"{self._backlog} tasks are waiting, as many as the server takes "
                "(ASYNC_MAX_BACKLOG); submit again later",
                async_max_backlog=settings.async_max_backlog,
                retry_after_s=self.runner.rates.interval_s,
            )
        if self._backlog and self._backlog_bytes + size > settings.async_max_backlog_bytes:
            raise BacklogFullError(
                "The rows of waiting tasks fill the space set aside for them "
                "(ASYNC_MAX_BACKLOG_BYTES); submit again later",
                async_max_backlog_bytes=settings.async_max_backlog_bytes,
                retry_after_s=self.runner.rates.interval_s,
            )
        if (
            self._results + self._backlog >= settings.async_max_results
            or self._result_bytes >= settings.async_max_result_bytes
        ):
            raise BacklogFullError(
                "Kept results fill the space set aside for them (ASYNC_MAX_RESULTS, "
                "ASYNC_MAX_RESULT_BYTES); submit again when some have passed ASYNC_RESULT_TTL_S",
                async_max_results=settings.async_max_results,
                async_max_result_bytes=settings.async_max_result_bytes,
                retry_after_s=min(_FULL_RETRY_S, settings.async_result_ttl_s),
            )

    def _give_back(self, size: int) -> None:
        self._backlog -= 1
        self._backlog_bytes -= size

    def _insert(
        self, request: TaskRequest, timeout_ms: float, callback_url: str | None, reply: Reply
    ) -> None:
        # A microsecond apart at least: within a priority, tasks run in the order of acceptance.
        accepted_at = max(time.time(), self._last_accepted_at + 1e-6)
        self._last_accepted_at = accepted_at
        deadline = accepted_at + timeout_ms / 1e3
        task_id = f"task_{secrets.token_hex(16)}"
        task = Task(task_id, request, accepted_at, deadline, callback_url)

        def stored(result: int | Exception) -> None:
            if isinstance(result, Exception):
                self._give_back(task.size)
                reply(result)
                return
            self.runner.add(task)
            reply(self.runner.view(task))

        self.store.insert(task, stored)

    def find(self, task_id: str, wait_s: float, reply: Reply) -> Callable[[], None]:
        """Gives ``reply`` the task, after its end if that comes within ``wait_s``.

        ``reply`` gets `TaskNotFoundError` where there is no such task, or not any more. Where too
        many wait already, it gets the task as it stands. What is returned ends the waiting.
        """
        task = self.runner.live.get(task_id)
        if task is None:
            self._read(task_id, reply)
            return _nothing
        if wait_s <= 0 or self._stopped or self._free_waits == 0:
            reply(self.runner.view(task))
            return _nothing

        def answer() -> None:
            timer.cancel()
            if answer in task.watchers:
                task.watchers.remove(answer)
            self._free_waits += 1
            if task_id in self.runner.live:
                reply(self.runner.view(task))
            else:
                self._read(task_id, reply)

        timer = self._loop.call_later(wait_s, answer)
        task.watchers.append(answer)
        self._free_waits -= 1
        return lambda: answer() if answer in task.watchers else None

    def cancel(self, task_id: str, reply: Reply) -> None:
        """Cancels a task; ``reply`` gets it as it ended.

        ``reply`` gets `TaskEndedError` where it had ended otherwise, or did before it could be
        stopped, `TaskNotFoundError` as in `find`.
        """

        def check(result: Record | Exception) -> None:
            if isinstance(result, Record) and result.status != "cancelled":
                if result.status in UNFINISHED:
                    result = UnavailableError(
                        "The server is shutting down; the task goes on when it is back"
                    )
                else:
                    result = TaskEndedError(
                        f"Task '{task_id}' is {result.status} already: there is nothing to cancel",
                        task_id=task_id,
                        status=result.status,
                    )
            reply(result)

        task = self.runner.live.get(task_id)
        if task is None:
            self._read(task_id, check)
            return

        def answer() -> None:
            if task_id in self.runner.live:  # the server stops
                check(self.runner.view(task))
            else:
                self._read(task_id, check)

        task.watchers.append(answer)
        self.runner.cancel(task)

    def _read(self, task_id: str, reply: Reply) -> None:
        def deliver(read: Future[Record | None]) -> None:
            error = read.exception()
            if error is not None:
                log.error("task %s cannot be read", task_id, exc_info=error)
                reply(UnavailableError("The task cannot be read; the server's log explains why"))
                return
            record = read.result()
            if record is None or self._is_over(record):
                reply(
                    TaskNotFoundError(
                        f"There is no task '{task_id}', or it ended more than "
                        f"{self._settings.async_result_ttl_s:g} s ago (ASYNC_RESULT_TTL_S)",
                        task_id=task_id,
                    )
                )
            else:
                reply(record)

        if not self.store.exists:
            reply(TaskNotFoundError(f"There is no task '{task_id}'", task_id=task_id))
            return
        self.store.read(task_id).add_done_callback(
            lambda read: self._loop.call_soon_threadsafe(deliver, read)
        )

    def _is_over(self, record: Record) -> bool:
        if record.ended_at is None:
            return False
        return record.ended_at + self._settings.async_result_ttl_s <= time.time()

    def _ended(self, task: Task, outcome: Outcome) -> None:
        self._give_back(task.size)
        self._results += 1
        self._result_bytes += len(outcome.body)
        _tell(task)
        if task.callback_url is not None:
            self._callbacks.wake()
        if self._purging is None:
            self._purge()

    def _purge(self) -> None:
        """Deletes what has been kept long enough, every now and then."""
        if self._stopped:
            return

        def purged(result: tuple[int, int] | Exception) -> None:
            if isinstance(result, Exception):
                return
            count, size = result
            self._results -= count
            self._result_bytes -= size
            if count >= PURGE_ROWS and not self._stopped:
                self.store.purge(kept_since, purged)

        kept_since = time.time() - self._settings.async_result_ttl_s
        self._purging = self._loop.call_later(_PURGE_S, self._purge)
        if self._results:
            self.store.purge(kept_since, purged)

    def stop(self) -> None:
        """Takes and starts no more tasks, and answers who waits for one."""
        if self._stopped:
            return
        self._stopped = True
        self._stopped_at = self._loop.time()
        self.runner.stop()
        if self._purging is not None:
            self._purging.cancel()
        for task in list(self.runner.live.values()):
            _tell(task)

    async def close(self) -> None:
        """Ends in good order; what does not end within the drain time is run by the next server."""
        self.stop()
        until = self._stopped_at + self._settings.drain_timeout_s
        while self.runner.running and self._loop.time() < until:
            await asyncio.sleep(0.01)
        await self._callbacks.close(max(0.0, until - self._loop.time()))
        for checking in self._checking:
            checking.cancel()
        await self._loop.run_in_executor(None, self.store.close)


def _tell(task: Task) -> None:
    """Calls who waits for a task, each once."""
    watchers, task.watchers = task.watchers, []
    for answer in watchers:
        answer()


def _nothing() -> None:
    return
