"""What child processes take away from themselves before they open somebody's file."""

from __future__ import annotations

import ctypes
import os
import resource

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9
_MOST_FILES = 256
_LARGEST_DEFAULT_MB = 16 << 10
_NICE = 13
"""Behind whoever answers requests: nobody waits for a conversion with a deadline."""


def confine(memory_limit_mb: int | None, timeout_s: float | None, nice: int = _NICE) -> None:
    """Limit this process; call it first, while there is one thread.

    Args:
        memory_limit_mb: Of address space; None: what the machine has, up to 16 GiB.
        timeout_s: Of its whole life, as CPU time over all cores; None: it lives for long.
        nice: How far behind others it ranks.

    Address space, CPU time and open files are bounded, core files and new privileges are off, the
    network is cut where the kernel allows it, the process dies with its parent, and ranks behind
    those that answer requests.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) != 0:  # needs privileges; else through a user namespace
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # refused in many containers: go on
    os.nice(nice)
    memory = (memory_limit_mb or _default_memory_mb()) << 20
    cores = len(os.sched_getaffinity(0))
    _lower(resource.RLIMIT_AS, memory)
    if timeout_s is not None:
        _lower(resource.RLIMIT_CPU, int(timeout_s * cores) + 1)
    _lower(resource.RLIMIT_NOFILE, _MOST_FILES)
    _lower(resource.RLIMIT_CORE, 0)


def _default_memory_mb() -> int:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return min(_LARGEST_DEFAULT_MB, max(physical, 2048))


def _lower(which: int, wanted: int) -> None:
    """Set a limit, never above the hard one that is there already."""
    _, hard = resource.getrlimit(which)
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (value, value))
