"""The bookkeeping of one stream: what was accepted, what runs, what is done, what was handed out.

A pure state machine. Numbers start at 1. An entry is *waiting*, *running* or *done* until it is
handed out; entries are handed out in the order of their numbers, without gaps, so ``floor``, the
last one that was, tells all of those. At most ``size`` numbers above the floor are accepted:
that bounds entries and gaps alike. As many of the last ones handed out are retained.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

from slipstream.errors import InvalidInputError, SequenceConflictError, StreamFullError

W = TypeVar("W")
R = TypeVar("R")

_OVERHEAD_BYTES = 512
"""What an entry is counted for besides its data."""


class _Entry(Generic[R]):
    """What is remembered of a number from its acceptance until it is forgotten."""

    __slots__ = ("digest", "held_bytes", "result")

    def __init__(self, digest: bytes, held_bytes: int) -> None:
        self.digest = digest
        self.held_bytes = held_bytes
        self.result: R | None = None


class Counts(NamedTuple):
    """What became of everything that was accepted."""

    received: int
    delivered: int
    discarded: int


class Sequence(Generic[W, R]):
    """See the module docstring.

    Args:
        size: How many numbers above ``floor`` are accepted, and how many below are retained.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.floor = 0
        """The last number that was handed out; 0 before the first."""
        self.held_bytes = 0
        """Of data that waits or runs, and of results."""
        self.running = 0
        self._done_up_to = 0  # every number up to here has its result
        self._entries: dict[int, _Entry[R]] = {}  # above the floor
        self._waiting: dict[int, W] = {}  # of these, in order of arrival
        self._retained: deque[tuple[int, _Entry[R]]] = deque()

    @property
    def pending(self) -> int:
        """Accepted and not handed out."""
        return len(self._entries)

    @property
    def queued(self) -> int:
        """Accepted and without a result."""
        return len(self._waiting) + self.running

    @property
    def ready(self) -> int:
        """Done, and next in order: what `take` would hand out."""
        return self._done_up_to - self.floor

    @property
    def counts(self) -> Counts:
        """As they would be if the stream ended now."""
        return Counts(self.floor + self.pending, self.floor, self.pending)

    def accept(self, number: int, digest: bytes, work: W, data_bytes: int) -> bool:
        """Takes an entry in; False if it was taken in before, and then nothing happens.

        Raises:
            InvalidInputError: the number is below 1.
            SequenceConflictError: it stands for other data (as far as that is still known).
            StreamFullError: it is too far above the floor.
        """
        if number < 1:
            raise InvalidInputError(
                f"'sequence_id' is not valid: {number}; the first one is 1", key="sequence_id"
            )
        known = self._known(number)
        if known is not None and known.digest != digest:
            raise SequenceConflictError(
                f"sequence_id {number} was sent before, with other data; send new data under the "
                "next sequence_id",
                sequence_id=number,
            )
        if known is not None or number <= self.floor:
            return False
        if number > self.floor + self.size:
            self._refuse(number)
        self._entries[number] = _Entry(digest, data_bytes + _OVERHEAD_BYTES)
        self.held_bytes += data_bytes + _OVERHEAD_BYTES
        self._waiting[number] = work
        return True

    def knows(self, number: int) -> bool:
        """Whether it was accepted."""
        return number in self._entries or 1 <= number <= self.floor

    def _known(self, number: int) -> _Entry[R] | None:
        if number > self.floor:
            return self._entries.get(number)
        place = number - self._retained[0][0] if self._retained else -1
        return self._retained[place][1] if place >= 0 else None

    def _refuse(self, number: int) -> None:
        first = self._done_up_to + 1
        missing = next(n for n in range(first, number + 1) if n not in self._entries)
        remedy = "read results" if self.ready else "wait for results"
        if missing < number and missing <= self.floor + self.size:
            remedy = f"send sequence_id {missing}, which everything behind it waits for"
        raise StreamFullError(
            f"sequence_id {number} is more than buffer_size ({self.size}) ahead of the last result "
            f"handed out ({self.floor}): {remedy}, then send it again",
            sequence_id=number,
            buffer_size=self.size,
            retry_after_s=1,
        )

    def next_to_run(self, *, in_order: bool) -> tuple[int, W] | None:
        """Takes out the entry that should run now, which counts as running; None: there is none.

        Args:
            in_order: One at a time, each after all lower numbers; else as they came.
        """
        if not in_order:
            number = next(iter(self._waiting), 0)
        else:
            number = 0 if self.running else self._done_up_to + 1
        if number not in self._waiting:
            return None
        self.running += 1
        return number, self._waiting.pop(number)

    def put_back(self, number: int, work: W) -> None:
        """The entry could not run now; it is the next again."""
        self.running -= 1
        self._waiting = {number: work, **self._waiting}

    def finish(self, number: int, result: R, result_bytes: int) -> None:
        """A running entry has its result, a failure perhaps."""
        self.running -= 1
        entry = self._entries[number]
        entry.result = result
        self.held_bytes += result_bytes + _OVERHEAD_BYTES - entry.held_bytes
        entry.held_bytes = result_bytes + _OVERHEAD_BYTES
        while (following := self._entries.get(self._done_up_to + 1)) is not None:
            if following.result is None:
                break
            self._done_up_to += 1

    def peek(self, after: int | None, most: int) -> list[tuple[int, R]]:
        """What `take` would hand out.

        Raises:
            InvalidInputError: ``after`` is above the floor: results would be skipped.
        """
        start = self.floor if after is None else after
        if start > self.floor or start < 0:
            raise InvalidInputError(
                f"'after' is not valid: {start}; the last result handed out is {self.floor}",
                key="after",
                last_sequence_id=self.floor,
            )
        found: list[tuple[int, _Entry[R]]] = []
        if start < self.floor:
            found = [(number, entry) for number, entry in self._retained if number > start][:most]
        until = min(self._done_up_to, self.floor + most - len(found))
        found += [(number, self._entries[number]) for number in range(self.floor + 1, until + 1)]
        return [(number, entry.result) for number, entry in found if entry.result is not None]

    def take(self, after: int | None, most: int) -> list[tuple[int, R]]:
        """Hands out results in order: those above ``after`` that are retained, then new ones.

        Args:
            after: The last number that the reader has; None: the floor.
            most: Of one call.

        Raises: as `peek`.
        """
        taken = self.peek(after, most)
        if taken:
            for number in range(self.floor + 1, taken[-1][0] + 1):
                self._retained.append((number, self._entries.pop(number)))
                self.floor = number
            while len(self._retained) > self.size:
                self._forget_oldest()
        return taken

    def forget_retained(self) -> None:
        """Gives up what was handed out before, for its memory."""
        while self._retained:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self.held_bytes -= self._retained.popleft()[1].held_bytes

    def can_go_on(self, *, in_order: bool) -> bool:
        """Whether something runs, or could run without another entry being sent."""
        if self.running or not self._waiting:
            return self.running > 0
        return not in_order or self._done_up_to + 1 in self._waiting
