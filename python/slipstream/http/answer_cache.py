"""Answers that many ask for and that change rarely, kept for a moment; and conditional requests.

An answer has an ``ETag`` (RFC 9110, 8.8.3). Who asks again with ``If-None-Match`` and has it still
gets 304 and no body. Tags are weak: they leave out the moment an answer was made at, which alone
is no news.

One thread: the event loop's.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from slipstream.http.types import Header, Request, Response

_MOST_ANSWERS = 256
_MOMENT = re.compile(rb'"timestamp":"[^"]*"')
_TAG = re.compile(r'(?:W/)?("[^"]*")')

Stamp = tuple[object, ...]


class _Kept(NamedTuple):
    answer: Response
    tag: str
    stamp: Stamp
    made_s: float


class AnswerCache:
    """Serves answers from memory while they are fresh.

    Args:
        ttl_s: How long an answer is fresh; 0 keeps none, and answers have tags all the same.
        clock: Seconds that only grow.
    """

    def __init__(self, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._answers: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        # What a client may do with it: keep it as long as it is fresh here, and for itself only,
        # since others may have no key.
        fresh_s = math.floor(ttl_s)
        self._control = f"private, max-age={fresh_s}" if fresh_s else "private, no-cache"
        self.hits = 0
        self.misses = 0

    @property
    def hit_rate(self) -> float | None:
        """Hits as a share of look-ups; None before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None

    def serve(self, request: Request, make: Callable[[], Response], stamp: Stamp = ()) -> Response:
        """The answer to a GET request.

        Args:
            request: Its path and query are what the answer is kept under.
            make: Makes the answer; what it raises is raised, and kept by nobody.
            stamp: What the answer depends on, as far as it must not be missed: an answer that was
                made under another one is stale.
        """
        key = request.path, request.query
        now_s = self._clock()
        kept = self._answers.get(key)
        if kept is None or kept.stamp != stamp or now_s - kept.made_s >= self._ttl_s:
            kept = self._keep(key, make(), stamp, now_s)
            self.misses += 1
        else:
            self.hits += 1
            self._answers.move_to_end(key)
        headers: tuple[Header, ...] = (("etag", kept.tag), ("cache-control", self._control))
        if _has(request, kept.tag):
            return Response(304, b"", headers, content_type=kept.answer.content_type)
        answer = kept.answer
        return Response(
            answer.status, answer.body, (*answer.headers, *headers), answer.content_type
        )

    def _keep(self, key: tuple[str, str], answer: Response, stamp: Stamp, now_s: float) -> _Kept:
        kept = _Kept(answer, tag_of(answer.body), stamp, now_s)
        if self._ttl_s > 0:
            self._answers[key] = kept
            self._answers.move_to_end(key)
            if len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)
        return kept


def tag_of(body: bytes) -> str:
    """The weak entity tag of an answer."""
    steady = _MOMENT.sub(b"", body)
    return f'W/"{hashlib.blake2b(steady, digest_size=12).hexdigest()}"'


def _has(request: Request, tag: str) -> bool:
    """Whether the client has the answer of this tag (RFC 9110, 13.1.2: a weak comparison)."""
    condition = request.headers.get("if-none-match")
    if condition is None:
        return False
    return condition.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(condition)
