"""Which cores the server's threads run on: real threads, a gate that says how crowded it is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from slipstream.http.gate import Gate
from slipstream.http.placement import Placement, threads_of_process

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="threads have no choice on one core"
)


class Threads:
    """Two threads that are idle, or busy without pause."""

    def __init__(self) -> None:
        self.is_busy = False
        self._stop = False
        self.ids: list[int] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]
        for thread in self._threads:
            thread.start()
        while len(self.ids) < 2:
            time.sleep(0.001)

    def _run(self) -> None:
        self.ids.append(threading.get_native_id())
        while not self._stop:
            if not self.is_busy:
                time.sleep(0.02)

    def end(self) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join()

    @property
    def cores(self) -> list[set[int]]:
        return [os.sched_getaffinity(thread) for thread in self.ids]


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads()
    yield threads
    threads.end()


def others_than(threads: Threads) -> set[int]:
    return threads_of_process() - set(threads.ids)


def look_until(placement: Placement, is_together: bool) -> None:
    for _ in range(200):
        time.sleep(0.02)
        placement.look()
        if placement.is_together is is_together:
            return
    raise AssertionError(f"never became {is_together}")


def test_together_until_they_need_more_than_a_core(threads: Threads) -> None:
    everywhere = os.sched_getaffinity(0)
    gate = Gate(100, 100)
    placement = Placement(gate, others_than(threads), is_wanted=True)
    placement.begin()
    first, second = threads.cores
    assert first == second
    assert len(first) == 1
    time.sleep(0.1)
    assert placement.look()  # idle: nothing to watch

    threads.is_busy = True
    for _ in range(5):  # busy with one request: a second core would not help it
        time.sleep(0.02)
        assert not placement.look()
    assert placement.is_together

    for _ in range(5):
        gate.enter()
    look_until(placement, is_together=False)
    assert threads.cores == [everywhere, everywhere]

    for _ in range(4):  # the crowd has gone, one client keeps them busy
        gate.leave(0)
    look_until(placement, is_together=True)
    assert threads.cores[0] == threads.cores[1] != everywhere


def test_not_wanted(threads: Threads) -> None:
    before = threads.cores
    placement = Placement(Gate(100, 100), others_than(threads), is_wanted=False)
    placement.begin()
    assert placement.look()
    assert threads.cores == before


def test_threads_that_end_are_no_fault(threads: Threads) -> None:
    placement = Placement(Gate(100, 100), others_than(threads), is_wanted=True)
    placement.begin()
    threads.end()
    assert placement.look()
