"""The autoscaler's decisions: a pure function, under a clock and a load that are made up."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.autoscale.policy import Decision, Limits, Look, Memory, Rules, decide

LIMITS = Limits(1, 8)
QUIET = Look(0.0, 2, 0.1, 0.0, 0.01, 100, 0)
WAITING = Look(0.0, 2, 1.0, 0.5, 0.01, 100, 0)


def after(looks: list[Look], limits: Limits = LIMITS) -> tuple[Decision | None, Memory]:
    """What the last of several looks leads to."""
    memory, decision = Memory(), None
    for look in looks:
        decision, memory = decide(look, limits, memory)
    return decision, memory


def at(look: Look, *times_s: float) -> list[Look]:
    return [look._replace(now_s=now_s) for now_s in times_s]


class TestUp:
    def test_one_bad_look_is_an_accident(self) -> None:
        assert after(at(WAITING, 0.0))[0] is None
        assert after([*at(WAITING, 0.0), *at(QUIET, 0.5), *at(WAITING, 1.0)])[0] is None

    def test_a_delay_that_lasts_is_not(self) -> None:
        decision, _ = after(at(WAITING, 0.0, 0.5, 1.0))
        assert decision is not None and decision.instances == 3
        assert "500 ms" in decision.reason and "10 ms" in decision.reason

    def test_missed_deadlines_say_the_same(self) -> None:
        missing = QUIET._replace(missed=5)
        decision, _ = after(at(missing, 0.0, 0.5, 1.0))
        assert decision == Decision(3, "5 of 105 requests missed their deadlines")
        assert after(at(QUIET._replace(missed=1, answered=1000), 0.0, 0.5, 1.0))[0] is None

    def test_a_delay_shorter_than_an_execution_is_how_batches_form(self) -> None:
        look = WAITING._replace(queue_delay_s=0.09, execute_s=0.1)
        assert after(at(look, 0.0, 1.0, 2.0))[0] is None

    def test_never_beyond_the_most(self) -> None:
        look = WAITING._replace(instances=8)
        assert after(at(look, 0.0, 1.0, 2.0, 60.0))[0] is None

    def test_nothing_is_decided_until_a_change_has_settled(self) -> None:
        decision, memory = after(at(WAITING, 0.0, 1.0))
        assert decision is not None
        for now_s in (1.5, 2.0, 2.9):
            decision, memory = decide(WAITING._replace(now_s=now_s, instances=3), LIMITS, memory)
            assert decision is None


class TestDown:
    def test_after_half_a_minute_of_little(self) -> None:
        assert after(at(QUIET, 0.0, 10.0, 29.0))[0] is None
        decision, _ = after(at(QUIET, 0.0, 10.0, 30.0))
        assert decision == Decision(1, "busy 10% of the time for 30 s")

    def test_not_when_the_rest_would_be_busy(self) -> None:
        assert after(at(QUIET._replace(busy_share=0.35), 0.0, 60.0))[0] is None

    def test_never_below_the_least(self) -> None:
        assert after(at(QUIET, 0.0, 60.0), Limits(2, 8))[0] is None

    def test_a_burst_begins_the_wait_anew(self) -> None:
        looks = [*at(QUIET, 0.0, 20.0), *at(WAITING, 20.5), *at(QUIET, 21.0, 40.0)]
        assert after(looks)[0] is None


@pytest.mark.parametrize(("instances", "wanted"), [(1, 2), (9, 4)])
def test_a_number_outside_of_the_limits_is_brought_back_at_once(instances, wanted):
    decision, _ = after(at(QUIET._replace(instances=instances), 0.0), Limits(2, 4))
    assert decision is not None and decision.instances == wanted


looks = st.builds(
    Look,
    now_s=st.just(0.0),
    instances=st.integers(1, 20),
    busy_share=st.floats(0, 1),
    queue_delay_s=st.floats(0, 100),
    execute_s=st.floats(0, 10),
    answered=st.integers(0, 10**6),
    missed=st.integers(0, 10**6),
)


@given(st.lists(st.tuples(looks, st.floats(0.01, 100)), max_size=40), st.integers(1, 10), st.data())
def test_whatever_is_measured_the_number_stays_within_its_limits(steps, least, data):
    limits = Limits(least, least + data.draw(st.integers(0, 10)))
    memory, now_s, changed_s = Memory(), 0.0, None
    for look, pause_s in steps:
        now_s += pause_s
        decision, memory = decide(look._replace(now_s=now_s), limits, memory)
        if decision is None:
            continue
        assert limits.least <= decision.instances <= limits.most
        assert decision.instances != look.instances and decision.reason
        is_outside = not limits.least <= look.instances <= limits.most
        if changed_s is not None and not is_outside:
            assert now_s - changed_s >= Rules().settle_s
        changed_s = now_s


class Simulation:
    """Requests at random times, instances that take as long for each, a look twice a second."""

    def __init__(self, rate: Callable[[float], float], execute_s: float, limits: Limits) -> None:
        self.rate = rate
        self.execute_s = execute_s
        self.limits = limits
        self.changes: list[tuple[float, int]] = []
        self.delays: list[tuple[float, float]] = []

    def run(self, seconds: float, seed: int = 1) -> None:
        source, memory = random.Random(seed), Memory()
        waiting: deque[float] = deque()
        ends: list[float] = []
        instances, now_s, next_look_s = self.limits.least, 0.0, 0.5
        waited: list[float] = []
        while now_s < seconds:
            rate = max(self.rate(now_s), 1e-9)
            next_arrival_s = now_s + source.expovariate(rate)
            while min(next_look_s, *(ends[:1] or [next_look_s])) <= next_arrival_s:
                if ends and ends[0] <= next_look_s:
                    now_s = heapq.heappop(ends)
                    self._begin(waiting, ends, instances, now_s, waited)
                    continue
                now_s, next_look_s = next_look_s, next_look_s + 0.5
                look = Look(
                    now_s,
                    instances,
                    min(1.0, len(waited) * self.execute_s / 0.5 / instances),
                    sum(waited) / len(waited) if waited else 0.0,
                    self.execute_s,
                    len(waited),
                    0,
                )
                waited = []
                decision, memory = decide(look, self.limits, memory)
                if decision is not None:
                    instances = decision.instances
                    self.changes.append((now_s, instances))
                    self._begin(waiting, ends, instances, now_s, waited)
            now_s = next_arrival_s
            waiting.append(now_s)
            self._begin(waiting, ends, instances, now_s, waited)

    def _begin(
        self,
        waiting: deque[float],
        ends: list[float],
        instances: int,
        now_s: float,
        waited: list[float],
    ) -> None:
        while waiting and len(ends) < instances:
            came_s = waiting.popleft()
            waited.append(now_s - came_s)
            self.delays.append((came_s, now_s - came_s))
            heapq.heappush(ends, now_s + self.execute_s)

    def instances_at(self, now_s: float) -> int:
        before = [count for when, count in self.changes if when <= now_s]
        return before[-1] if before else self.limits.least


def test_a_steady_load_leads_to_a_steady_number() -> None:
    load = Simulation(lambda _: 60.0, 0.05, Limits(1, 8))  # three instances' worth
    load.run(600)
    settled = [count for when, count in load.changes if when > 60]
    assert 4 <= load.instances_at(60) <= 8
    assert len(settled) <= 6, f"it flaps: {load.changes}"
    late = [delay for when, delay in load.delays if when > 60]
    assert sum(late) / len(late) < 0.05


def test_a_square_wave_is_followed_up_and_down() -> None:
    load = Simulation(lambda s: 70.0 if s % 240 < 60 else 2.0, 0.05, Limits(1, 6))
    load.run(480)
    assert load.instances_at(30) >= 4, load.changes
    assert load.instances_at(235) == 1, load.changes
    assert load.instances_at(270) >= 4, load.changes
    first_high = next(when for when, count in load.changes if count >= 4)
    assert first_high < 15, load.changes


def test_no_load_stays_at_the_least() -> None:
    load = Simulation(lambda _: 0.5, 0.05, Limits(1, 8))
    load.run(300)
    assert load.changes == []
