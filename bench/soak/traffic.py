"""Clients that ask until so many requests have been made, beside somebody who changes things."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence

from bench.soak.churn import Churn
from bench.soak.ways import Way
from bench.soak.wire import Connection

_CONNECTION_REQUESTS = 2_000
"""After about so many a client makes a new connection."""
_PAUSE_S = 0.2
"""Between two turns of the churn."""


class Traffic:
    """All clients of one stretch. Use once.

    Args:
        port: Of the server.
        ways: What is asked.
        requests: After how many it is over.
        clients: Threads, each with a connection.
        churn: Takes turns meanwhile, at least one.
        seed: Of what is asked in which order.
    """

    def __init__(
        self,
        port: int,
        ways: Sequence[Way],
        requests: int,
        clients: int,
        churn: Churn,
        seed: int,
    ) -> None:
        self._port = port
        self._ways = ways
        self._wanted = requests
        self._churn = churn
        self._lock = threading.Lock()
        self._made = 0
        self._stop = threading.Event()
        self._seeds = [seed * 1_000 + number for number in range(clients)]
        self.asked: Counter[str] = Counter()
        """Requests by way."""

    def run(self) -> float:
        """Blocks until all is asked and answered; how many seconds that took.

        Raises:
            Exception: the first that a client or the churn met; the others are stopped.
        """
        self._failed: Exception | None = None
        began = time.perf_counter()
        threads = [
            *(threading.Thread(target=self._guarded, args=(self._ask, s)) for s in self._seeds),
            threading.Thread(target=self._guarded, args=(self._change, 0)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failed is not None:
            raise self._failed
        return time.perf_counter() - began

    def _guarded(self, work: object, seed: int) -> None:
        assert callable(work)
        try:
            work(seed)
        except Exception as error:  # it is raised where the stretch was started
            with self._lock:
                self._failed = self._failed or error
            self._stop.set()

    def _ask(self, seed: int) -> None:
        order = random.Random(seed)
        shares = [way.share for way in self._ways]
        own: Counter[str] = Counter()
        with Connection(self._port) as connection:
            while not self._stop.is_set():
                (way,) = order.choices(self._ways, shares)
                made = way.ask(connection, order)
                own[way.name] += made
                if order.random() * _CONNECTION_REQUESTS < made:
                    connection.close()
                with self._lock:
                    self._made += made
                    if self._made >= self._wanted:
                        self._stop.set()
        with self._lock:
            self.asked.update(own)

    def _change(self, _: int) -> None:
        while True:
            self._churn.turn()
            if self._stop.wait(_PAUSE_S):
                return
