"""One stream: runs its entries on the engine, tells its reader what is ready, drains at its end.

Entries of a model without states run as they come, side by side; those of a model with states run
in sequence, each with what the one before has left. The model is asked for by its id at every
entry, so one that is reloaded, or unloaded, counts from the next entry on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from slipstream.errors import (
    QueueFullError,
    StreamFullError,
    StreamNotFoundError,
)
from slipstream.streams.sequence import Counts, Sequence

if TYPE_CHECKING:
    from slipstream.api import EncodedAnswer, Memory, Predictor

MOST_RUNNING = 64
"""Entries of one stream that the engine has at once."""
_MOST_AT_ONCE = 8
"""Entries started before the event loop gets its turn: quick models run on its thread."""
_RETRY_S = 0.02


FindModel: TypeAlias = "Callable[[str | None], Predictor]"


class Work(NamedTuple):
    """What a send asks for."""

    data: bytes
    """Rows as JSON."""
    probabilities: bool
    priority: int
    """On the core's scale."""
    timeout_ms: float
    """From the moment its turn has come."""

    def digest(self) -> bytes:
        """Equal for sends that ask the same."""
        return hashlib.blake2b(
            self.data, digest_size=16, person=b"with" if self.probabilities else b""
        ).digest()


class Outcome(NamedTuple):
    """How an entry ended."""

    model_id: str
    answer: EncodedAnswer | Exception

    @property
    def held_bytes(self) -> int:
        """What it takes to keep it."""
        if isinstance(self.answer, Exception):
            return 0
        arrays = (self.answer.predictions, self.answer.probabilities)
        return sum(len(array) for array in arrays if isinstance(array, bytes))


class Reader(Protocol):
    """Whoever waits for results. A stream has one at most; a newer one takes the place."""

    takes_all: bool
    """Whether it goes on reading until it is dismissed."""

    def wake(self) -> None:
        """There is something to take."""

    def dismiss(self) -> None:
        """There will be nothing more for it: the stream is over, or another reader came."""


class Budget:
    """Bytes that all streams together hold."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0


class Stream:
    """See the module docstring; everything on the event loop's thread.

    Args:
        find_model: Gives the model of an id, asked at each entry.
        stream_id: What it is called.
        model_id: Of its entries.
        buffer_size: See `Sequence`.
        budget: Shared with all other streams.
    """

    def __init__(
        self, find_model: FindModel, stream_id: str, model_id: str, buffer_size: int, budget: Budget
    ) -> None:
        self.stream_id = stream_id
        self.model_id = model_id
        self.is_closing = False
        """Takes no more; what was accepted still runs."""
        self.is_over = False
        self.on_over: list[Callable[[Counts], None]] = []
        """Called once, at its end."""
        self.counts = Counts(0, 0, 0)
        """Final once `is_over`."""
        self._find_model = find_model
        self._sequence: Sequence[Work, Outcome] = Sequence(buffer_size)
        self._budget = budget
        self._counted_bytes = 0
        self._loop = asyncio.get_running_loop()
        self.used_at = self._loop.time()
        self._memory: Memory | None = None
        self._reader: Reader | None = None
        self._tickets: dict[int, tuple[Predictor, int]] = {}
        self._retries_until: dict[int, float] = {}
        self._pumping = False
        self._next_pump: asyncio.Handle | None = None
        self._give_up: asyncio.Handle | None = None

    @property
    def buffer_size(self) -> int:
        """As it was started with."""
        return self._sequence.size

    @property
    def queued(self) -> int:
        """Entries that were accepted and have not ended."""
        return self._sequence.queued

    @property
    def pending(self) -> int:
        """Entries that were accepted and not handed out."""
        return self._sequence.pending

    @property
    def floor(self) -> int:
        """The last one that was handed out."""
        return self._sequence.floor

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, and nobody waits for anything."""
        return self._reader is None and self._sequence.running == 0

    def knows(self, number: int) -> bool:
        """Whether an entry was accepted."""
        return self._sequence.knows(number)

    def send(self, number: int, work: Work) -> None:
        """Accepts an entry, or does nothing if it was accepted before.

        Raises:
            StreamNotFoundError: the stream is closed.
            StreamFullError: the buffer is full, or the memory set aside for streams.
            Also as `Sequence.accept`.
        """
        if self.is_closing:
            raise StreamNotFoundError(
                f"Stream '{self.stream_id}' is closed", stream_id=self.stream_id
            )
        self.used_at = self._loop.time()
        if not self._sequence.knows(number):
            self._make_room(len(work.data))
        if self._sequence.accept(number, work.digest(), work, len(work.data)):
            self._count_bytes()
            self._pump()

    def _make_room(self, count: int) -> None:
        budget = self._budget
        if budget.held_bytes + count > budget.most_bytes:
            self._sequence.forget_retained()
            self._count_bytes()
        if budget.held_bytes + count > budget.most_bytes:
            raise StreamFullError(
                "What streams have in their buffers fills the memory set aside for them "
                f"({budget.most_bytes} bytes, MAX_STREAM_BYTES); read results, then send it again",
                max_stream_bytes=budget.most_bytes,
                retry_after_s=1,
            )

    def _count_bytes(self) -> None:
        held_bytes = 0 if self.is_over else self._sequence.held_bytes
        self._budget.held_bytes += held_bytes - self._counted_bytes
        self._counted_bytes = held_bytes

    def take(self, after: int | None, most: int) -> list[tuple[int, Outcome]]:
        """As `Sequence.take`; nothing when the stream is over."""
        if self.is_over:
            return []
        self.used_at = self._loop.time()
        taken = self._sequence.take(after, most)
        self._count_bytes()
        if self.is_closing:
            self._loop.call_soon(self._end_if_drained)
        return taken

    def peek(self, after: int | None, most: int) -> list[tuple[int, Outcome]]:
        """As `Sequence.peek`."""
        return self._sequence.peek(after, most)

    def attach(self, reader: Reader) -> None:
        """Makes it the one that is woken; the one before is dismissed."""
        before, self._reader = self._reader, reader
        if before is not None:
            before.dismiss()

    def detach(self, reader: Reader) -> None:
        """It reads no longer."""
        if self._reader is reader:
            self._reader = None
            self.used_at = self._loop.time()
            if self.is_closing:
                self._end_if_drained()

    def close(self, within_s: float) -> None:
        """Takes no more, lets what was accepted run and be read, then ends; at once a second time.

        Args:
            within_s: After this, what is left is discarded.
        """
        if self.is_closing:
            return
        self.is_closing = True
        self._give_up = self._loop.call_later(within_s, self.end)
        self._end_if_drained()

    def _end_if_drained(self) -> None:
        reader = self._reader
        someone_reads = reader is not None and reader.takes_all and self._sequence.ready > 0
        if not someone_reads and not self._sequence.can_go_on(in_order=self._runs_in_order()):
            self.end()

    def end(self) -> None:
        """Ends it now; what runs is withdrawn, what nobody has read is discarded."""
        if self.is_over:
            return
        self.is_closing = self.is_over = True
        self.counts = self._sequence.counts
        for timer in (self._give_up, self._next_pump):
            if timer is not None:
                timer.cancel()
        for model, ticket in list(self._tickets.values()):
            model.cancel(ticket)
        self._count_bytes()
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.dismiss()
        for tell in self.on_over:
            tell(self.counts)

    def _runs_in_order(self) -> bool:
        """Whether its model remembers."""
        try:
            return self._find_model(self.model_id).is_stateful
        except LookupError:  # unloaded: its entries fail in any order
            return False

    def _pump(self) -> None:
        """Starts what can run now."""
        if self._pumping:
            return  # by an entry that ended at once; whoever pumps goes on
        self._pumping = True
        try:
            for _ in range(_MOST_AT_ONCE):
                following = self._next_to_run()
                if following is None:
                    return
                self._run(*following)
            self._pump_later(0.0)
        finally:
            self._pumping = False

    def _next_to_run(self) -> tuple[int, Work] | None:
        is_full = self._sequence.running >= MOST_RUNNING
        if self.is_over or is_full or self._next_pump is not None:
            return None
        return self._sequence.next_to_run(in_order=self._runs_in_order())

    def _pump_later(self, seconds: float) -> None:
        if self._next_pump is not None:
            return

        def pump() -> None:
            self._next_pump = None
            self._pump()

        self._next_pump = self._loop.call_later(seconds, pump)

    def _run(self, number: int, work: Work) -> None:
        model_id = self.model_id
        try:
            model = self._find_model(model_id)
            model_id = model.model_id
            ticket = self._start(model, number, work)
        except QueueFullError as error:
            if not self._retry(number, work):
                self._ended(number, model_id, error)
        except Exception as error:  # one that is not ours is a bug: it is logged, and is its result
            self._ended(number, model_id, error)
        else:
            if ticket:
                self._tickets[number] = (model, ticket)

    def _start(self, model: Predictor, number: int, work: Work) -> int:
        from slipstream.api import Body, Memory  # here: routes are known before the engine is

        if self._memory is None:
            self._memory = Memory()

        def done(answer: EncodedAnswer | Exception) -> None:
            self._ended(number, model.model_id, answer)

        return model.start(
            Body("json", work.data, memory=self._memory),
            answer="json",
            probabilities=work.probabilities,
            priority=work.priority,
            timeout_ms=self._left_ms(number, work),
            batch_size=None,
            on_done=done,
            routing_key=self.stream_id,  # of an experiment: a stream stays on one variant
        )

    def _left_ms(self, number: int, work: Work) -> float:
        until = self._retries_until.get(number)
        if until is None:
            return work.timeout_ms
        return max(0.001, (until - self._loop.time()) * 1000)

    def _retry(self, number: int, work: Work) -> bool:
        """Puts an entry back that the engine has no room for; False when its time is up."""
        now = self._loop.time()
        until = self._retries_until.setdefault(number, now + work.timeout_ms / 1000)
        if now + _RETRY_S >= until or self.is_over:
            return False
        self._sequence.put_back(number, work)
        self._pump_later(_RETRY_S)
        return True

    def _ended(self, number: int, model_id: str, answer: EncodedAnswer | Exception) -> None:
        """Called once for each entry; never raises into the engine."""
        self._tickets.pop(number, None)
        self._retries_until.pop(number, None)
        if self.is_over:
            return
        outcome = Outcome(model_id, answer)
        before = self._sequence.ready
        self._sequence.finish(number, outcome, outcome.held_bytes)
        self._count_bytes()
        if self._reader is not None and self._sequence.ready > before:
            self._reader.wake()
        self._pump()
        if self.is_closing:
            self._end_if_drained()
