"""Feeds waiting tasks to the engine, a bounded number at a time, and stores how they end.

A task is one ordinary request to its model: it has the task's priority, shares batches with others,
and ends by its deadline. What the engine gives back for now (a full queue, a model that is being
replaced) waits in its slot and is tried again.

Threads: event loop's only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from slipstream.errors import (
    DeadlineExceededError,
    InferenceError,
    QueueFullError,
    RequestCancelledError,
    SlipstreamError,
    UnavailableError,
)
from slipstream.tasks.queue import Deadlines, TaskQueue
from slipstream.tasks.rates import Rates
from slipstream.tasks.records import (
    Failure,
    Outcome,
    Record,
    Status,
    Task,
    encode_failure,
)
from slipstream.tasks.store import TaskStore

if TYPE_CHECKING:
    from slipstream.api import EncodedAnswer, Engine, Predictor

log = logging.getLogger("slipstream.tasks")
_MOST_ENDING = 1024
"""Ends that are being stored; above it no more tasks are started."""
_SLICE_BYTES = 65536
"""Rows handed to the engine before the event loop gets its turn."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 1.0
_MOST_TRIES = 5
"""Of a task whose model dies under it."""
_MOST_STARTS = 16
"""Of a task under which the whole server ends."""


class Runner:
    """Everything that has been accepted and whose end is not stored yet."""

    def __init__(
        self,
        engine: Engine,
        store: TaskStore,
        most_running: int,
        on_end: Callable[[Task, Outcome], None],
    ) -> None:
        """``on_end`` is called when the end of a task is on the disk."""
        self._engine = engine
        self._store = store
        self._free_slots = most_running
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._queue = TaskQueue()
        self._deadlines = Deadlines()
        self._timer: asyncio.TimerHandle | None = None
        self._ending = 0
        self._pumping = False
        self.stopped = False
        self.rates = Rates()
        self.live: dict[str, Task] = {}

    def add(self, task: Task) -> None:
        """Takes in a task that is stored; it runs when its turn comes, never in this call."""
        self.live[task.task_id] = task
        self._queue.add(task)
        self._deadlines.add(task)
        self._deadlines.sweep(2 * len(self.live) + 1000)
        self._set_timer()
        self._pump_soon()

    def view(self, task: Task) -> Record:
        """A live task as it stands."""
        now = time.time()
        if task.status == "running":
            assert task.started_at is not None
            return task.record(None, self.rates.end_of_started(task.started_at, now))
        position = self._queue.position(task)
        return task.record(position, self.rates.end_of(position, now))

    def cancel(self, task: Task) -> None:
        """Withdraws a task; one that runs may still complete. It ends in either case."""
        task.cancel_wanted = True
        if task.is_over:
            return
        if task.status == "queued":
            self._finish_failed(task, "cancelled", _cancelled())
        elif task.model is not None:
            task.model.cancel(task.ticket)

    def stop(self) -> None:
        """Starts no more; those that run may end until `close`."""
        self.stopped = True
        if self._timer is not None:
            self._timer.cancel()

    @property
    def running(self) -> int:
        """Tasks that the engine has, or whose end is being stored."""
        return self._ending + sum(
            task.status == "running" and not task.is_over for task in self.live.values()
        )

    def _pump_soon(self) -> None:
        if not self._pumping and not self.stopped:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        left = _SLICE_BYTES
        while self._queue and self._free_slots > 0 and self._ending < _MOST_ENDING:
            if self.stopped:
                return
            if left <= 0:
                self._pump_soon()
                return
            task = self._queue.pop()
            left -= task.size + 4096  # a small task costs something too
            self._free_slots -= 1
            task.holds_slot = True
            if task.recovered:
                self._begin_recovered(task)
            else:
                self._begin(task)

    def _begin_recovered(self, task: Task) -> None:
        """Counts the start before it is made: a task that ends servers must not do so for ever."""
        if task.starts >= _MOST_STARTS:
            message = f"The server ended {task.starts} times while this task ran; it is given up"
            self._finish_failed(task, "failed", InferenceError(message))
            return
        task.started_at = time.time()
        self._store.note_start(task, lambda _: self._begin(task, is_noted=True))

    def _begin(self, task: Task, *, is_noted: bool = False) -> None:
        if self.stopped or task.is_over:
            return
        now = time.time()
        if now >= task.deadline:
            self._expire(task)
            return
        task.started_at = now
        try:
            model = self._engine.get(task.request.model_id)
            ticket = self._start(task, model)
        except (QueueFullError, UnavailableError) as error:
            self._put_off(task, error)
        except DeadlineExceededError:
            self._expire(task)
        except Exception as error:
            self._finish_failed(task, "failed", error)
        else:
            self._began(task, model, ticket, is_noted)

    def _began(self, task: Task, model: Predictor, ticket: int, is_noted: bool) -> None:
        if task.is_over or task.ticket == -1:
            return  # the engine answered at once
        task.model, task.ticket, task.status = model, ticket, "running"
        if not is_noted:
            self._store.note_start(task)

    def _start(self, task: Task, model: Predictor) -> int:
        from slipstream.api import Body  # here: routes are known before the engine is imported

        request = task.request
        return model.start(
            Body(request.kind, request.data, request.dtype, request.shape),
            answer="json",
            probabilities=request.probabilities,
            priority=request.priority,
            timeout_ms=max(task.left_s * 1e3, 1e-3),
            batch_size=request.batch_size,
            on_done=partial(self._done, task, model),
            routing_key=request.routing_key,
        )

    def _done(self, task: Task, model: Predictor, result: EncodedAnswer | Exception) -> None:
        """The engine's answer; called once a start."""
        task.model = None
        if self.stopped and isinstance(result, Exception):
            return  # perhaps only because the engine closes: another server runs it again
        if isinstance(result, DeadlineExceededError):
            self._finish_failed(task, "expired", result)
        elif isinstance(result, RequestCancelledError) and task.cancel_wanted:
            self._finish_failed(task, "cancelled", _cancelled())
        elif isinstance(result, UnavailableError | QueueFullError) and not task.cancel_wanted:
            task.ticket = -1
            task.status = "queued"
            self._put_off(task, result)
        elif isinstance(result, Exception):
            self._finish_failed(task, "failed", result)
        else:
            self._finish(task, "completed", _result(result, model.model_id))

    def _put_off(self, task: Task, error: Exception) -> None:
        """Tries again later; its slot stays taken, so that not all wait for one model."""
        task.tries += 1
        task.started_at = None
        if isinstance(error, UnavailableError) and task.tries >= _MOST_TRIES:
            self._finish_failed(task, "failed", error)
            return
        pause_s = min(_FIRST_PAUSE_S * 2 ** min(task.tries, 16), _LONGEST_PAUSE_S)
        self._loop.call_later(pause_s, self._try_again, task)

    def _try_again(self, task: Task) -> None:
        task.ticket = 0
        self._begin(task)

    def _expire(self, task: Task) -> None:
        waited_s = time.time() - task.accepted_at
        message = f"The task did not run within its timeout; it waited {waited_s:.3f} s"
        self._finish_failed(task, "expired", DeadlineExceededError(message))

    def _finish_failed(self, task: Task, status: Status, error: Exception) -> None:
        self._finish(task, status, encode_failure(_failure(task, error)))

    def _finish(self, task: Task, status: Status, body: bytes) -> None:
        """Stores how a task ended; until that is done it seems to go on."""
        self._queue.discard(task)
        if task.holds_slot:
            task.holds_slot = False
            self._free_slots += 1
        task.outcome = Outcome(status, body, time.time())
        self._ending += 1
        self._store.end(task, task.outcome, partial(self._stored, task))
        self._pump_soon()

    def _stored(self, task: Task, changed: int | Exception) -> None:
        outcome = task.outcome
        assert outcome is not None
        self._ending -= 1
        if isinstance(changed, Exception):
            # Not the disk, which is tried for ever, but this one outcome.
            if outcome.status == "failed":
                log.error("the end of task %s cannot be stored", task.task_id, exc_info=changed)
            else:
                message = f"The outcome cannot be stored: {changed}"
                self._finish_failed(task, "failed", InferenceError(message))
                return
        if outcome.status == "completed":
            assert task.started_at is not None
            now = time.time()
            self.rates.ended(now - task.started_at, now, is_busy=bool(self._queue))
        del self.live[task.task_id]
        self._on_end(task, outcome)
        self._pump_soon()

    def _set_timer(self) -> None:
        deadline = self._deadlines.next
        if self.stopped or deadline is None:
            return
        delay_s = max(0.0, deadline - time.time())
        when = self._loop.time() + delay_s
        if self._timer is not None and not self._timer.cancelled():
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._expire_late)

    def _expire_late(self) -> None:
        self._timer = None
        for task in self._deadlines.passed(time.time()):
            if task.status == "queued" and not task.is_over:
                self._expire(task)  # the engine ends those that run
        self._set_timer()


def _cancelled() -> RequestCancelledError:
    return RequestCancelledError("The task was cancelled")


def _result(answer: EncodedAnswer, model_id: str) -> bytes:
    """The result as JSON, from parts that are JSON already."""
    assert isinstance(answer.predictions, bytes)
    parts = [b'{"predictions":', answer.predictions]
    if isinstance(answer.probabilities, bytes):
        parts += [b',"probabilities":', answer.probabilities]
    parts += [b',"model_id":', msgspec.json.encode(model_id)]
    parts += [b',"inference_time":', repr(answer.inference_time_s).encode()]
    if answer.variant is not None:
        parts += [b',"variant":', msgspec.json.encode(answer.variant)]
    parts.append(b"}")
    return b"".join(parts)


def _failure(task: Task, error: Exception) -> Failure:
    details: dict[str, Any] = {}
    if isinstance(error, SlipstreamError):
        return Failure(type(error).__name__, error.message, error.details)
    log.error("task %s failed unexpectedly", task.task_id, exc_info=error)
    message = "The server failed on this task; its log explains why under its id."
    return Failure("InternalServerError", message, details)
