"""What a task is: asked for, in progress, as stored, and as told to whoever asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from slipstream.api import Predictor

Status = Literal["queued", "running", "completed", "failed", "cancelled", "expired"]
DeliveryStatus = Literal["pending", "delivered", "failed"]
UNFINISHED: frozenset[Status] = frozenset(("queued", "running"))


class TaskRequest(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """What is to run; stored as MessagePack."""

    model_id: str
    kind: Literal["json", "msgpack", "tensor"]
    data: bytes
    """The rows, in that form."""
    probabilities: bool
    priority: int
    """On the core's scale of integer levels."""
    batch_size: int | None = None
    dtype: str = ""
    shape: tuple[int, ...] = ()
    routing_key: str | None = None
    """Of an experiment."""


class Delivery(NamedTuple):
    """How far telling a ``callback_url`` has come."""

    url: str
    status: DeliveryStatus
    attempts: int
    next_attempt_at: float | None
    """Seconds since the epoch; None while there is nothing to tell yet, and once it is over."""
    last_status_code: int | None
    last_error: str | None


class Attempt(NamedTuple):
    """What became of one attempt to call back."""

    status_code: int | None
    error: str | None
    """None: the receiver took it."""
    is_final: bool = False
    """Trying again would not help."""
    retry_after_s: float = 0.0
    """As the receiver wishes."""


class Record(NamedTuple):
    """A task as it stands. Times are seconds since the epoch."""

    task_id: str
    status: Status
    model_id: str
    accepted_at: float
    started_at: float | None
    ended_at: float | None
    outcome: bytes | None
    """JSON: the result of a completed task, the error of any other that has ended."""
    delivery: Delivery | None
    queue_position: int | None = None
    """1 is next; None once it has left the queue."""
    estimated_end_at: float | None = None


class Outcome(NamedTuple):
    """How a task ended."""

    status: Status
    body: bytes
    """JSON, as in `Record`."""
    ended_at: float


class Task:
    """A task that has not ended, or whose end is not stored yet. Event loop's thread only."""

    __slots__ = (
        "accepted_at",
        "callback_url",
        "cancel_wanted",
        "deadline",
        "holds_slot",
        "model",
        "outcome",
        "place",
        "recovered",
        "request",
        "size",
        "started_at",
        "starts",
        "status",
        "task_id",
        "ticket",
        "tries",
        "watchers",
    )

    def __init__(
        self,
        task_id: str,
        request: TaskRequest,
        accepted_at: float,
        deadline: float,
        callback_url: str | None,
        starts: int = 0,
    ) -> None:
        self.task_id = task_id
        self.request = request
        self.accepted_at = accepted_at
        self.deadline = deadline
        """Seconds since the epoch."""
        self.callback_url = callback_url
        self.starts = starts
        """How often it began to run, by what the store knows."""
        self.recovered = False
        """A server that has ended took it in."""
        self.size = len(request.data)
        self.status: Status = "queued"
        self.started_at: float | None = None
        self.place: tuple[float, str] | None = None
        """Its key in the queue; None when it is not in it."""
        self.holds_slot = False
        self.model: Predictor | None = None
        self.ticket = 0
        self.tries = 0
        """How often the engine gave it back unanswered."""
        self.cancel_wanted = False
        self.outcome: Outcome | None = None
        """How it ended, while that is being stored."""
        self.watchers: list[Callable[[], None]] = []
        """Called once its end is stored, or when the server stops."""

    def record(self, queue_position: int | None, estimated_end_at: float | None) -> Record:
        """As it stands."""
        delivery = None
        if self.callback_url is not None:
            delivery = Delivery(self.callback_url, "pending", 0, None, None, None)
        return Record(
            self.task_id,
            self.status,
            self.request.model_id,
            self.accepted_at,
            self.started_at if self.status == "running" else None,
            None,
            None,
            delivery,
            queue_position,
            estimated_end_at,
        )

    @property
    def is_over(self) -> bool:
        """Whether it has ended, stored or not."""
        return self.outcome is not None

    @property
    def left_s(self) -> float:
        """Seconds until it expires."""
        return self.deadline - time.time()


class Failure(msgspec.Struct):
    """An error as its task's answer tells it."""

    error: str
    message: str
    details: dict[str, Any]


encode_failure = msgspec.json.Encoder(enc_hook=str).encode
