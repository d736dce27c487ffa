"""Timestamps and request ids, cheap enough for every request."""

from __future__ import annotations

import itertools
import re
import secrets
import time

_ACCEPTED_ID = re.compile(r"[\x21-\x7e]{1,128}")


def format_time(epoch_s: float) -> str:
    """Seconds since the epoch as UTC, to the second: ``2025-01-15T10:30:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_s))


def format_uptime(seconds: float) -> str:
    """A duration as hours, minutes and seconds: ``2h 30m 45s``."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}h {whole % 3600 // 60}m {whole % 60}s"


class Clock:
    """The current timestamp, formatted once a second. Any thread may ask."""

    __slots__ = ("_cached",)

    def __init__(self) -> None:
        self._cached = (0, format_time(0))

    def timestamp(self) -> str:
        """Now, as `format_time` writes it."""
        now = int(time.time())
        second, text = self._cached
        if second != now:
            text = format_time(now)
            self._cached = (now, text)
        return text


class RequestIds:
    """Ids no two requests share: a random part per process, then a counter."""

    __slots__ = ("_counter", "_process")

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._counter = itertools.count(1)

    def choose(self, offered: str | None, prefix: str) -> str:
        """The client's ``X-Request-ID`` if it is 1–128 visible ASCII characters, else a new id."""
        if offered is not None and _ACCEPTED_ID.fullmatch(offered):
            return offered
        return f"{prefix}{self._process}{next(self._counter):06x}"
