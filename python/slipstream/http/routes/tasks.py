"""Async predictions: accepted now, run when their turn comes, asked for later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Raw

from slipstream.errors import UnavailableError
from slipstream.http import forms
from slipstream.http.clock import format_time
from slipstream.http.codec import JsonBody, encode_json, json_response
from slipstream.http.failures import error_response
from slipstream.http.queries import Query, waiting_ms
from slipstream.http.routes.context import Context
from slipstream.http.routes.options import MAX_TIMEOUT_MS, batch_size, level, timeout_ms
from slipstream.http.schemas.tasks import (
    AsyncAccepted,
    AsyncOptions,
    AsyncRequest,
    CallbackState,
    TaskAnswer,
    TaskQuery,
)
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.api import Body
    from slipstream.tasks.records import Delivery, Record
    from slipstream.tasks.service import Tasks

MAX_WAIT_MS = 30_000.0
"""Most that a GET may wait."""
_NULL = Raw(b"null")

_read_json = JsonBody(AsyncRequest)
_read_msgpack = forms.MsgpackBody(AsyncRequest)
_read_options = Query(AsyncOptions)
_read_query = Query(TaskQuery)


async def start_tasks(context: Context) -> Tasks:
    """The server's async predictions, with what an earlier server left of them."""
    from slipstream.tasks.service import Tasks

    tasks = Tasks(context.engine, context.settings, lambda record: encode_json(answer_of(record)))
    await tasks.start()
    return tasks


class TaskCall(Pending):
    """An answer about one task, on its way from the disk."""

    __slots__ = ("_context", "_render", "_request", "stop_waiting")

    def __init__(
        self, context: Context, request: Request, render: Callable[[Record], Response]
    ) -> None:
        super().__init__()
        self._context = context
        self._request = request
        self._render = render
        self.stop_waiting: Callable[[], None] | None = None

    def __call__(self, result: Record | Exception) -> None:
        """Called once, on this thread, with the task or with why there is none."""
        try:
            if not isinstance(result, Exception):
                self.resolve(self._render(result))
                return
            error = result
        except Exception as fault:
            error = fault
        self.resolve(error_response(error, self._request, self._context.clock))

    def cancel(self) -> None:
        """Waits no longer; the task itself goes on."""
        if self.stop_waiting is not None:
            self.stop_waiting()


def submit(context: Context, request: Request) -> Pending:
    """POST predict/async: 202 once the task is on the disk."""
    from slipstream.tasks.records import TaskRequest

    wanted, body = _read(request)
    priority = level(wanted.priority)
    most_rows = batch_size(wanted.batch_size, context.settings.max_batch_size)
    left_ms = timeout_ms(wanted.timeout_ms, MAX_TIMEOUT_MS)
    probabilities = bool(wanted.return_probabilities)
    model = context.engine.get(wanted.model_id)
    model.check(body, probabilities=probabilities)
    task = TaskRequest(
        wanted.model_id or model.model_id,
        body.kind,
        bytes(body.data),
        probabilities,
        priority,
        most_rows,
        body.dtype,
        body.shape,
        wanted.routing_key,
    )
    call = TaskCall(context, request, _accepted)
    with context.limits.accepting(model.model_id):
        _tasks(context).submit(task, left_ms, wanted.callback_url, call)
    return call


def find(context: Context, request: Request) -> Pending:
    """GET predict/async/{task_id}."""
    call = TaskCall(context, request, _as_it_stands)
    wait_s = waiting_ms(_read_query(request).wait_ms, MAX_WAIT_MS) / 1e3
    call.stop_waiting = _tasks(context).find(request.params["task_id"], wait_s, call)
    return call


def cancel(context: Context, request: Request) -> Pending:
    """DELETE predict/async/{task_id}."""
    call = TaskCall(context, request, _as_it_stands)
    _tasks(context).cancel(request.params["task_id"], call)
    return call


def _tasks(context: Context) -> Tasks:
    if context.tasks is None:
        raise UnavailableError("The server is not ready for async predictions yet")
    return context.tasks


def _read(request: Request) -> tuple[AsyncOptions, Body]:
    """What is asked for, and the rows."""
    from slipstream.api import Body  # here: routes are known before the engine is imported

    kind = forms.body_kind(request)
    if kind == "tensor":
        dtype, shape = forms.tensor_dtype_and_shape(request)
        return _read_options(request), Body("tensor", request.body, dtype, shape)
    envelope = _read_msgpack(request) if kind == "msgpack" else _read_json(request)
    return envelope, Body(kind, memoryview(envelope.data))


def _accepted(record: Record) -> Response:
    estimate = _moment(record.estimated_end_at)
    return json_response(
        AsyncAccepted(record.task_id, "queued", estimate, record.queue_position or 1), 202
    )


def _as_it_stands(record: Record) -> Response:
    return json_response(answer_of(record))


def answer_of(record: Record) -> TaskAnswer:
    """A task as GET answers it, and as a ``callback_url`` receives it."""
    outcome = _NULL if record.outcome is None else Raw(record.outcome)
    completed = record.status == "completed"
    return TaskAnswer(
        record.task_id,
        record.status,
        outcome if completed else _NULL,
        _moment(record.ended_at),
        _NULL if completed else outcome,
        record.model_id,
        format_time(record.accepted_at),
        _moment(record.started_at),
        record.queue_position,
        _moment(record.estimated_end_at),
        None if record.delivery is None else _callback_of(record.delivery),
    )


def _callback_of(delivery: Delivery) -> CallbackState:
    return CallbackState(
        delivery.url,
        delivery.status,
        delivery.attempts,
        _moment(delivery.next_attempt_at),
        delivery.last_status_code,
        delivery.last_error,
    )


def _moment(epoch_s: float | None) -> str | None:
    return None if epoch_s is None else format_time(epoch_s)
