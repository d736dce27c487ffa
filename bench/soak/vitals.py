"""What a server holds when nothing is asked of it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path
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
    thread_names: dict[str, int]
    """How many of the threads have each name, as the kernel knows them."""

    def leaks_since(self, first: Vitals) -> list[str]:
        """What there is more of than there was, memory apart; in words."""
        faults = [
            f"{name.replace('_', ' ')}: {getattr(first, name)} at first, {getattr(self, name)} now"
            for name in ("threads", "descriptors", "children", "in_progress")
            if getattr(self, name) > getattr(first, name)
        ]
        if self.threads > first.threads:
            faults += [
                f"threads named {name!r}: {first.thread_names.get(name, 0)} at first, {count} now"
                for name, count in self.thread_names.items()
                if count > first.thread_names.get(name, 0)
            ]
        return faults

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
        thread_names=_thread_names(server.pid),
    )


def _thread_names(pid: int) -> dict[str, int]:
    names: Counter[str] = Counter()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            names[(thread / "comm").read_text(errors="replace").strip()] += 1
    return dict(sorted(names.items()))


def settled(server: Server, first: Vitals | None = None) -> Vitals:
    """The same, once sockets are closed and helpers have gone: when nothing leaks, or in vain."""
    until = time.monotonic() + _SETTLE_S
    before = None
    while True:
        now = look(server)
        is_steady = before is not None and now[1:] == before[1:]
        is_late = time.monotonic() > until
        if is_steady and (is_late or not (first and now.leaks_since(first))):
            return now
        if time.monotonic() > until + _SETTLE_S:  # it never rests: that is a fault of its own
            return now
        before = now
        time.sleep(_EVERY_S)
