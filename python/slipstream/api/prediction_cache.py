"""Answers that are remembered: the same rows of the same version get the same bytes again.

Only for models that were loaded so (``cache_predictions``), whose answers must depend on nothing
but the rows. The key is a cryptographic digest of the tensors, so no two inputs ever share one.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from slipstream.api.bodies import BodyKind, EncodedAnswer
from slipstream.engine.answers import RawTensor
from slipstream.engine.runtime import CoreInputs

_OVERHEAD_BYTES = 512
"""Of an entry, beside what its answer holds: the key, the objects, the places in the tables."""

Key = tuple[int, bytes]


class _Entry(NamedTuple):
    answer: EncodedAnswer
    size_bytes: int


class CacheCounts(NamedTuple):
    """Since the engine was started."""

    hits: int
    misses: int
    entries: int
    size_bytes: int


class PredictionCache:
    """Bounded by bytes; what was asked least recently goes first. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._size_bytes = 0
        self._hits = 0
        self._misses = 0

    def get(self, key: Key) -> EncodedAnswer | None:
        """The answer to the same question."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return entry.answer

    def put(self, key: Key, answer: EncodedAnswer) -> None:
        """Remembers an answer; one that is larger than all there is room for is not."""
        size = _OVERHEAD_BYTES + _size_of(answer.predictions) + _size_of(answer.probabilities)
        if size > self._limit_bytes:
            return
        with self._lock:
            old = self._entries.pop(key, None)
            if old is not None:
                self._size_bytes -= old.size_bytes
            self._entries[key] = _Entry(answer, size)
            self._size_bytes += size
            while self._size_bytes > self._limit_bytes:
                _, oldest = self._entries.popitem(last=False)
                self._size_bytes -= oldest.size_bytes

    def remembering(
        self, key: Key, on_done: Callable[[EncodedAnswer | Exception], None]
    ) -> Callable[[EncodedAnswer | Exception], None]:
        """The same, with what is answered remembered; failures are not."""

        def done(result: EncodedAnswer | Exception) -> None:
            if isinstance(result, EncodedAnswer):
                self.put(key, result)
            on_done(result)

        return done

    def forget(self, serial: int) -> None:
        """A version answers no more."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == serial]:
                self._size_bytes -= self._entries.pop(key).size_bytes

    def clear(self) -> tuple[int, int]:
        """Forgets everything; returns how many entries that were, and their bytes."""
        with self._lock:
            freed = len(self._entries), self._size_bytes
            self._entries.clear()
            self._size_bytes = 0
            return freed

    def counts(self) -> CacheCounts:
        """How it did."""
        with self._lock:
            return CacheCounts(self._hits, self._misses, len(self._entries), self._size_bytes)


def key_of(serial: int, inputs: CoreInputs, kind: BodyKind, probabilities: bool) -> Key:
    """What makes a question the same: version, tensors, form of the answer."""
    digest = hashlib.blake2b(f"{kind} {probabilities}".encode(), digest_size=32)
    for array in inputs.arrays():
        digest.update(f" {array.dtype} {array.shape} ".encode())
        if array.dtype == object:
            for text in array.ravel():
                data = str(text).encode("utf-8", "surrogatepass")
                digest.update(b"%d " % len(data))
                digest.update(data)
        else:
            digest.update(array.tobytes())
    return serial, digest.digest()


def _size_of(answer: bytes | RawTensor | None) -> int:
    if answer is None:
        return 0
    return len(answer if isinstance(answer, bytes) else answer.data)
