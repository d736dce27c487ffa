"""Order, places and deadlines of waiting tasks; estimates from what was measured."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from slipstream.tasks.queue import S_PER_LEVEL, Deadlines, TaskQueue
from slipstream.tasks.rates import Rates
from slipstream.tasks.records import Outcome, Task, TaskRequest


def task(number: int, accepted_at: float, priority: int = 0, deadline: float = 1e9) -> Task:
    request = TaskRequest("m", "json", b"[[1]]", False, priority)
    return Task(f"task_{number}", request, accepted_at, deadline, None)


LEVELS = st.sampled_from((-1, 0, 5, 10))
WAITING = st.lists(
    st.tuples(st.integers(0, 200).map(float), LEVELS),
    max_size=60,
    unique_by=lambda one: one[0] - S_PER_LEVEL * one[1],
)


def right_order(tasks: list[Task]) -> list[Task]:
    return sorted(tasks, key=lambda one: one.accepted_at - S_PER_LEVEL * one.request.priority)


class TestQueue:
    def test_within_a_priority_first_come_first_served(self) -> None:
        queue = TaskQueue()
        tasks = [task(number, 100.0 + number) for number in range(50)]
        for one in random.Random(0).sample(tasks, 50):
            queue.add(one)
        assert [queue.position(one) for one in tasks] == list(range(1, 51))
        assert [queue.pop() for _ in range(50)] == tasks

    def test_a_higher_priority_goes_first_and_age_wins_in_the_end(self) -> None:
        queue = TaskQueue()
        old, normal = task(0, 0.0), task(1, 100.0)
        low, high, urgent = task(2, 100.0, -1), task(3, 100.5, 5), task(4, 101.0, 10)
        for one in (low, normal, high, urgent, old):
            queue.add(one)
        assert [queue.pop() for _ in range(5)] == [old, urgent, high, normal, low]

    @given(WAITING, st.randoms())
    def test_positions_are_true_whatever_leaves(
        self, waiting: list[tuple[float, int]], chance: random.Random
    ) -> None:
        queue = TaskQueue()
        tasks = [task(number, *one) for number, one in enumerate(waiting)]
        for one in tasks:
            queue.add(one)
        for one in chance.sample(tasks, len(tasks) // 3):
            queue.discard(one)
            queue.discard(one)
            tasks.remove(one)
        order = right_order(tasks)
        assert [queue.position(one) for one in order] == list(range(1, len(order) + 1))
        assert [queue.pop() for _ in range(len(queue))] == order


class TestDeadlines:
    def test_they_come_up_in_order(self) -> None:
        deadlines = Deadlines()
        assert deadlines.next is None
        for number in random.Random(0).sample(range(20), 20):
            deadlines.add(task(number, 0.0, deadline=float(number)))
        assert deadlines.next == 0.0
        assert [one.task_id for one in deadlines.passed(4.0)] == [f"task_{i}" for i in range(5)]
        assert deadlines.next == 5.0

    def test_those_that_have_ended_are_forgotten(self) -> None:
        deadlines = Deadlines()
        tasks = [task(number, 0.0, deadline=1000.0 + number) for number in range(100)]
        for one in tasks:
            deadlines.add(one)
        for one in tasks[:99]:
            one.outcome = Outcome("completed", b"{}", 1.0)
        deadlines.sweep(100)
        assert deadlines.next == 1000.0
        deadlines.sweep(99)
        assert deadlines.next == 1099.0


class TestRates:
    def test_nothing_is_known_before_something_was_measured(self) -> None:
        rates = Rates()
        assert rates.end_of(1, 100.0) is None
        assert rates.end_of_started(100.0, 100.0) is None

    def test_estimates_follow_what_was_measured(self) -> None:
        rates = Rates()
        for number in range(1, 20):  # each runs for 2 s, one ends every half second
            rates.ended(2.0, number * 0.5, is_busy=True)
        assert rates.end_of(1, 100.0) == 102.0
        assert rates.end_of(11, 100.0) == 107.0
        assert rates.end_of_started(99.0, 100.0) == 101.0
        assert rates.end_of_started(10.0, 100.0) == 100.0

    def test_pauses_are_not_taken_for_slowness(self) -> None:
        rates = Rates()
        rates.ended(1.0, 10.0, is_busy=True)
        rates.ended(1.0, 11.0, is_busy=False)
        rates.ended(1.0, 5000.0, is_busy=False)
        assert rates.end_of(3, 0.0) == 3.0
