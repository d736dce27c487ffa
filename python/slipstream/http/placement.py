"""Keeps the server's threads on one core while one core is enough.

A request crosses Granian's threads several times (socket thread, Python thread and back), one
waiting while the other works. On different cores each crossing wakes a sleeping core, which takes
many times what the step itself takes; on one core it is a change of context. So the threads share a
core until they use most of it, and then may go where they like until their load has fallen again.

Decided a few times a second from the time that the threads really ran (Linux: ``schedstat``).
Where that cannot be read, or there is one core, threads are never placed.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Set
from pathlib import Path
from time import monotonic_ns

from slipstream.http.gate import Gate
from slipstream.own_threads import is_ours

_BUSY_SHARE = 0.85
"""Of one core, by all the threads together: above it, they need more than one."""
_CROWD = 3
"""Requests in progress, from which on one thread has work while another works too. A client alone
keeps the core busy as well, but nothing could be done beside."""
_CALM_SHARE = 0.55
"""Below it, or without a crowd, they may share one again. Apart, the same work takes more time."""
_IDLE_SHARE = 0.01
"""Below it, nothing is watched until requests come."""
_CALM_PERIODS = 10
"""So many looks in a row, so that load that comes and goes does not move them about."""
_PROCESSOR_FIELD = 36
"""Of ``/proc/PID/task/TID/stat``, counted behind the name: the core it ran on last (proc(5))."""

log = logging.getLogger("slipstream.http")


def threads_of_process() -> set[int]:
    """Kernel ids of the threads that run now; empty where the system does not tell."""
    try:
        return {int(name) for name in os.listdir("/proc/self/task")}
    except OSError:
        return set()


class Placement:
    """Places threads together or apart. All methods on the loop's thread.

    Args:
        gate: Knows how many requests are in progress.
        others: Kernel ids of the threads that ran before the server started its own. The server's
            are those that have come since, and are not named as ours are.
        is_wanted: False leaves threads where they are.
    """

    def __init__(self, gate: Gate, others: Set[int], *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._gate = gate
        self._others = others
        self._threads: list[int] = []
        self._cores = os.sched_getaffinity(0)
        self._calm = 0
        self._last_look_ns = 0
        self._last_ran_ns = 0
        self._works = False
        self.is_together = False

    def begin(self) -> list[int]:
        """Requests have come after a pause; `look` will be called from now on.

        Returns:
            The server's threads, if they were not known yet.
        """
        found: list[int] = []
        if not self._threads:
            others = self._others
            found = sorted(one for one in threads_of_process() - others if not is_ours(one))
            self._threads = found
        ran_ns = self._ran_ns()
        has_choice = len(self._cores) > 1 and len(self._threads) > 1
        self._works = self._is_wanted and has_choice and ran_ns is not None
        self._last_look_ns = monotonic_ns()
        self._last_ran_ns = ran_ns or 0
        if self._works and not self.is_together:
            self._place(together=True)
        return found

    def look(self) -> bool:
        """Decides anew; to be called some 20 times a second.

        Returns:
            Whether there is nothing to decide until requests come: `begin` says so then.
        """
        ran_ns = self._ran_ns() if self._works else None
        if ran_ns is None:
            if self.is_together:  # a thread has ended: the others go free, `begin` finds them anew
                self._place(together=False)
            self._threads = []
            return True
        now_ns = monotonic_ns()
        share = (ran_ns - self._last_ran_ns) / max(1, now_ns - self._last_look_ns)
        self._last_look_ns, self._last_ran_ns = now_ns, ran_ns
        is_crowded = self._gate.active >= _CROWD
        self._calm = 0 if is_crowded and share >= _CALM_SHARE else self._calm + 1
        if self.is_together:
            if share > _BUSY_SHARE and is_crowded:
                self._place(together=False)
        elif self._calm >= _CALM_PERIODS:
            self._place(together=True)
        return self.is_together and share < _IDLE_SHARE

    def _place(self, *, together: bool) -> None:
        self.is_together = together
        self._calm = 0
        try:
            cores = {self._core_of(self._threads[0])} & self._cores if together else self._cores
            for thread in self._threads:
                with contextlib.suppress(ProcessLookupError):  # it has ended
                    os.sched_setaffinity(thread, cores or self._cores)
        except OSError as error:  # not allowed here, or the server is stopping
            self._works = False
            log.debug("threads cannot be placed: %s", error)

    @staticmethod
    def _core_of(thread: int) -> int:
        text = Path(f"/proc/self/task/{thread}/stat").read_text(encoding="ascii", errors="replace")
        return int(text.rpartition(")")[2].split()[_PROCESSOR_FIELD])

    def _ran_ns(self) -> int | None:
        """Time on a core of all threads together; None where it cannot be read."""
        total = 0
        try:
            for thread in self._threads:
                with open(f"/proc/self/task/{thread}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return total
