"""What a server holds when nothing is asked of it."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import msgspec
import psutil

from bench.lib.servers import Server
from bench.soak.wire import Connection, request

MOST_GROWTH = 0.05
"""Of resident memory, from the first look to the last."""
_SETTLE_S = 15.0
_EVERY_S = 0.2
_STATUS = request("GET", "/api/inference/engine/status")


class Vitals(NamedTuple):
    """One look. Memory is that of all processes, in bytes."""

    rss: int
    threads: int
    descriptors: int
    children: int
    in_progress: int
    """Requests, but for the one that asked."""

    def leaks_since(self, first: Vitals) -> list[str]:
        """What there is more of than there was, memory apart; in words."""
        return [
            f"{name.replace('_', ' ')}: {getattr(first, name)} at first, {getattr(self, name)} now"
            for name in ("threads", "descriptors", "children", "in_progress")
            if getattr(self, name) > getattr(first, name)
        ]

    def growth_since(self, first: Vitals) -> float:
        """Of memory, as a share of what there was."""
        return self.rss / first.rss - 1


def look(server: Server) -> Vitals:
    """What there is now."""
    every = server.tree()
    top = psutil.Process(server.pid)
    with Connection(server.port) as connection:
        status: dict[str, Any] = msgspec.json.decode(connection.ask(_STATUS).body)
    return Vitals(
        rss=sum(one.memory_info().rss for one in every),
        threads=top.num_threads(),
        descriptors=top.num_fds(),
        children=len(every) - 1,
        in_progress=status["active_requests"] - 1,
    )


def settled(server: Server, first: Vitals | None = None) -> Vitals:
    """The same, once sockets are closed and helpers have gone: when nothing leaks, or in vain."""
    until = time.monotonic() + _SETTLE_S
    before = None
    while True:
        now = look(server)
        is_steady = before is not None and now[1:] == before[1:]
        if time.monotonic() > until or (is_steady and not (first and now.leaks_since(first))):
            return now
        before = now
        time.sleep(_EVERY_S)
