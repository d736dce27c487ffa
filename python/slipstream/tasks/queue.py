"""Which task is next, how many stand before another, and which have waited too long."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterator

from slipstream.tasks.records import Task

S_PER_LEVEL = 6.0
"""A level of priority is worth this much waiting: a ``high`` task (level 5) goes before a
``normal`` one (0) unless that came more than 30 s earlier. Everything is reached in the end."""


class TaskQueue:
    """Tasks in the order in which they will run. One thread.

    A place is a number that never changes, the time of acceptance less `S_PER_LEVEL` a level, so
    one sorted list holds all priorities, and a rank is a binary search. The next is at its end,
    where it costs nothing to take away.
    """

    def __init__(self) -> None:
        self._places: list[tuple[float, str]] = []
        self._tasks: dict[str, Task] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, task: Task) -> None:
        """Enters a task."""
        task.place = place_of(task)
        self._tasks[task.task_id] = task
        insort(self._places, task.place)

    def discard(self, task: Task) -> None:
        """Takes a task out; one that is not in it is left alone."""
        if task.place is not None:
            del self._places[bisect_left(self._places, task.place)]
            del self._tasks[task.task_id]
            task.place = None

    def pop(self) -> Task:
        """Takes the next out. Not from an empty queue."""
        _, task_id = self._places.pop()
        task = self._tasks.pop(task_id)
        task.place = None
        return task

    def position(self, task: Task) -> int:
        """1 for the next, and for one that was taken out to be run."""
        return len(self._places) - bisect_left(self._places, task.place) if task.place else 1


def place_of(task: Task) -> tuple[float, str]:
    """A larger one comes first; ids part those that came in the same instant."""
    return (task.request.priority * S_PER_LEVEL - task.accepted_at, task.task_id)


class Deadlines:
    """Tasks by when they expire. Those that have ended are dropped when they come up."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str, Task]] = []

    def add(self, task: Task) -> None:
        """Enters a task."""
        heapq.heappush(self._heap, (task.deadline, task.task_id, task))

    def passed(self, now: float) -> Iterator[Task]:
        """Takes out those whose deadline is not after ``now``."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]

    def sweep(self, most: int) -> None:
        """Forgets those that have ended, once more than ``most`` are held."""
        if len(self._heap) > most:
            self._heap = [entry for entry in self._heap if not entry[2].is_over]
            heapq.heapify(self._heap)

    @property
    def next(self) -> float | None:
        """The earliest deadline."""
        return self._heap[0][0] if self._heap else None
