"""``python -m slipstream.downloads.child``: the one process that fetches files.

Speaks as the converter child does (`slipstream.convert.child`). It opens nothing that it fetches,
writes below one folder only, and never more than it was told.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from slipstream.convert.child import serve
from slipstream.downloads.hub import Hub
from slipstream.downloads.link import Link
from slipstream.downloads.partial import Partial
from slipstream.downloads.plan import Order, order_of
from slipstream.errors import UnavailableError

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9
_NICE = 10
_MEMORY_MB = 4096
_MOST_FILES = 256
_TELL_S = 0.2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> int:
    """Run one order; the exit status is 0 whenever an answer was written."""
    return serve(_work, "NetworkError", "downloading", _limit)


def _limit(memory_limit_mb: int | None, _: float) -> None:
    """Bounded memory and files, no core files, no new privileges; dies with its parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.nice(_NICE)
    limits = {
        resource.RLIMIT_AS: (memory_limit_mb or _MEMORY_MB) << 20,
        resource.RLIMIT_NOFILE: _MOST_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for which, wanted in limits.items():
        _, hard = resource.getrlimit(which)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (value, value))


def _work(request: dict[str, Any], say: Callable[[str], None]) -> object:
    order = order_of(request)
    wanted = order.wanted
    source = Hub() if wanted.url is None else Link(order.allowed_hosts, order.private_hosts)
    if order.action == "resolve":
        return msgspec.to_builtins(source.resolve(wanted))
    try:
        return {"validator": _fetch(order, source, say)}
    except OSError as error:  # its text has a path of this machine, its strerror has none
        remedy = "make room there" if error.errno in _FULL else "its folder must be writable"
        raise UnavailableError(
            f"what was fetched cannot be written ({error.strerror or type(error).__name__}) where "
            f"MODEL_DIR is: {remedy}"
        ) from error


def _fetch(order: Order, source: Hub | Link, say: Callable[[str], None]) -> str:
    """Every file of the plan; returns what `Link.fetch` does."""
    assert order.plan is not None, "there is one to fetch"
    validator = ""
    folder, left = Path(order.folder), order.most_bytes
    for number, file in enumerate(order.plan.files):
        part = Partial(folder, file, left, _teller(number, say))
        if part.is_done and isinstance(source, Link) and file.sha256 is None:
            part.discard()  # of which content it is was forgotten when it was finished
        if not part.is_done:
            if isinstance(source, Hub):
                source.fetch(order.wanted, order.plan, part)
            else:
                validator = source.fetch(order.wanted, part)
            say(f"{number} {part.size_bytes} verifying")
            part.finish()
        size = part.path.stat().st_size
        left -= size
        say(f"{number} {size} done {part.digest}")
    return validator


def _teller(number: int, say: Callable[[str], None]) -> Callable[[int], None]:
    """Tells how much of a file there is, a few times a second."""
    last_s = 0.0

    def tell(size_bytes: int) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= _TELL_S:
            last_s = now_s
            say(f"{number} {size_bytes}")

    return tell


if __name__ == "__main__":
    sys.exit(main())
