"""Many requests under way at once, in process: so many at any time, from a few threads."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from bench.gpu.networks import Array, Network
from bench.lib.suite import WrongError

MOST_THREADS = 4
_TIMEOUT_S = 60.0
Submit = Callable[[Array], "Future[Any]"]


def rate(submit: Submit, requests: Sequence[Array], under_way: int, seconds: float) -> float:
    """Requests a second while ``under_way`` are submitted and not answered at any time.

    Raises:
        WrongError: one failed.
    """
    threads = min(MOST_THREADS, under_way)
    windows = [under_way // threads + (number < under_way % threads) for number in range(threads)]
    counts, failures = [0] * threads, list[BaseException]()
    begin, end = threading.Event(), threading.Event()

    def work(number: int) -> None:
        waiting: collections.deque[Future[Any]] = collections.deque()
        asked = number
        try:
            while not end.is_set():
                while len(waiting) < windows[number]:
                    waiting.append(submit(requests[asked % len(requests)]))
                    asked += threads
                waiting.popleft().result(_TIMEOUT_S)
                counts[number] += begin.is_set()
            for one in waiting:
                one.result(_TIMEOUT_S)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    time.sleep(seconds / 3)
    begin.set()
    began = time.perf_counter()
    time.sleep(seconds)
    end.set()
    took_s = time.perf_counter() - began
    answered = sum(counts)
    for worker in workers:
        worker.join()
    if failures:
        raise WrongError(f"a request failed under load: {failures[0]!r}") from failures[0]
    return answered / took_s


def requests_of(network: Network, count: int, rows: int) -> list[Array]:
    """Different requests of so many rows."""
    every = network.rows(count * rows, seed=1)
    return [np.ascontiguousarray(one) for one in np.split(every, count)]
