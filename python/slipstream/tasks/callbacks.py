"""Tells whoever gave a ``callback_url`` how its task ended, at least once.

What is to be told, and when next, is in the store; nothing of it is only in memory. An attempt is
noted after it was made, so one that a crash cuts off is made again, under the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from slipstream.settings import Settings
from slipstream.tasks.addresses import Wall
from slipstream.tasks.records import Attempt, Delivery, Record
from slipstream.tasks.resolver import Resolver
from slipstream.tasks.store import TaskStore
from slipstream.tasks.webhook import key_of, signed_headers

if TYPE_CHECKING:
    from slipstream.tasks.delivery import Sender

log = logging.getLogger("slipstream.tasks")
_AT_ONCE = 64
_GROWTH = 3.0
"""From one wait to the next."""
_LONGEST_WAIT_S = 3600.0
_IDLE_S = 60.0


class Callbacks:
    """Delivers. Event loop's thread."""

    def __init__(
        self,
        store: TaskStore,
        wall: Wall,
        resolver: Resolver,
        settings: Settings,
        render: Callable[[Record], bytes],
    ) -> None:
        """``render`` writes the JSON of GET."""
        self._store = store
        self._make_sender = partial(_sender, wall, resolver, settings.callback_timeout_s)
        self._sender: Sender | None = None
        self._render = render
        self._keys = [key_of(secret) for secret in settings.callback_secret]
        self._most_attempts = settings.callback_max_attempts
        self._first_wait_s = settings.callback_retry_s
        self._changed = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._running: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is something to tell."""
        self._changed.set()
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self, timeout_s: float) -> None:
        """Starts no more, and gives those under way that long; the rest is made again."""
        if self._running is not None:
            self._running.cancel()
        if self._busy:
            await asyncio.wait(self._busy.values(), timeout=timeout_s)
        for attempt in self._busy.values():
            attempt.cancel()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            wait_s = _IDLE_S
            try:
                wait_s = await self._start_due()
            except Exception:  # of the disk, say: it must not end deliveries for ever
                log.exception("callbacks could not be looked up")
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _start_due(self) -> float:
        """Starts what is due, as far as there is room; returns how long to wait for more."""
        # As they are now: one that ends while the store is asked may still be in its answer.
        busy = set(self._busy)
        due = await asyncio.wrap_future(self._store.due(_AT_ONCE + len(busy)))
        now = time.time()
        for task_id, when in due:
            if task_id in busy or task_id in self._busy:
                continue
            if when > now:
                return min(when - now, _IDLE_S)
            if len(self._busy) >= _AT_ONCE:
                break
            attempt = asyncio.get_running_loop().create_task(self._deliver(task_id))
            self._busy[task_id] = attempt
            attempt.add_done_callback(partial(self._ended, task_id))
        return _IDLE_S

    def _ended(self, task_id: str, attempt: asyncio.Task[None]) -> None:
        del self._busy[task_id]
        if not attempt.cancelled() and (error := attempt.exception()) is not None:
            log.error("the callback of %s is put off", task_id, exc_info=error)
            return  # until the next look, not at once
        self._changed.set()

    async def _deliver(self, task_id: str) -> None:
        record = await asyncio.wrap_future(self._store.read(task_id))
        if record is None or record.delivery is None:
            return
        if self._sender is None:
            self._sender = self._make_sender()
        body = self._render(record)
        headers = signed_headers(self._keys, task_id, int(time.time()), body)
        try:
            attempt = await self._sender.post(record.delivery.url, headers, body)
        except Exception as error:  # a bug: it counts as an attempt, so that it ends some day
            log.exception("the callback of %s failed unexpectedly", task_id)
            attempt = Attempt(None, type(error).__name__)
        noted: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._store.note_attempt(
            task_id,
            self._after(record.delivery, attempt),
            lambda result: None if noted.done() else noted.set_result(result),
        )
        await noted

    def _after(self, before: Delivery, attempt: Attempt) -> Delivery:
        attempts = before.attempts + 1
        if attempt.error is None:
            return Delivery(before.url, "delivered", attempts, None, attempt.status_code, None)
        if attempt.is_final or attempts >= self._most_attempts:
            return Delivery(
                before.url, "failed", attempts, None, attempt.status_code, attempt.error
            )
        wait_s = min(self._first_wait_s * _GROWTH**before.attempts, _LONGEST_WAIT_S)
        wait_s *= random.uniform(0.5, 1.5)  # so that receivers that were down are not stormed
        wait_s = max(wait_s, min(attempt.retry_after_s, _LONGEST_WAIT_S))
        return Delivery(
            before.url,
            "pending",
            attempts,
            time.time() + wait_s,
            attempt.status_code,
            attempt.error,
        )


def _sender(wall: Wall, resolver: Resolver, timeout_s: float) -> Sender:
    from slipstream.tasks.delivery import Sender  # here: most servers never need an HTTP client

    return Sender(wall, resolver, timeout_s)
