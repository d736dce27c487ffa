"""A future that is done from the beginning does what every other future does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

from slipstream.engine.done_future import DoneFuture


def test_it_is_done() -> None:
    future = DoneFuture(5)
    assert future.result() == future.result(timeout=0) == 5
    assert future.done() and not future.running() and not future.cancelled()
    assert future.exception() is None
    assert not future.cancel()
    assert "finished" in repr(future)


def test_who_waits_for_it_need_not() -> None:
    futures = [DoneFuture(number) for number in range(3)]
    assert concurrent.futures.wait(futures).not_done == set()
    assert {one.result() for one in concurrent.futures.as_completed(futures)} == {0, 1, 2}
    called: list[int] = []
    futures[2].add_done_callback(lambda one: called.append(one.result()))
    assert called == [2]

    async def awaited() -> int:
        return await asyncio.wrap_future(DoneFuture(9))

    assert asyncio.run(awaited()) == 9


def test_it_cannot_be_set_again() -> None:
    with pytest.raises(concurrent.futures.InvalidStateError):
        DoneFuture(1).set_result(2)
    with pytest.raises(AttributeError):
        _ = DoneFuture(1).nonsense  # type: ignore[attr-defined]


def test_threads_that_look_at_once() -> None:
    for _ in range(200):
        future = DoneFuture(7)
        wrong: list[object] = []

        def look(future: DoneFuture[int] = future, wrong: list[object] = wrong) -> None:
            if future.cancel() or concurrent.futures.wait([future], 5).not_done:
                wrong.append(future)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
