"""Shared memory segments: the server's (read here) and the worker's own (written here).

Both are memfds that came as open file descriptors and can only grow. The reader learns the size
from each record, the writer grows under a hard limit. Not thread-safe: one thread serves.
"""

from __future__ import annotations

import mmap
import os


class MessageTooLargeError(Exception):
    """A message does not fit the segment's hard limit (backend option ``max_message_mb``)."""


class RequestSegment:
    """The server's segment, mapped read-only."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.view = mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED, mmap.PROT_READ)

    def follow(self, size_bytes: int) -> None:
        """Map what the server has grown the segment to.

        Arrays over the old mapping keep it alive and stay readable.
        """
        if size_bytes > len(self.view):
            self.view = mmap.mmap(self._fd, size_bytes, mmap.MAP_SHARED, mmap.PROT_READ)


class ResponseSegment:
    """The worker's own segment, mapped for writing, never larger than ``limit_bytes``."""

    def __init__(self, fd: int, limit_bytes: int) -> None:
        self._fd = fd
        self._limit_bytes = limit_bytes
        self.view = mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED)

    def reserve(self, size_bytes: int) -> None:
        """Make room for a message of ``size_bytes``.

        Grows at least twofold, so that a slowly growing answer remaps rarely. The pages are
        allocated here: a machine without memory gives an `OSError`, not a SIGBUS in mid-copy.

        Raises:
            MessageTooLargeError: The limit does not allow it.
            OSError: The system has no memory for it.
        """
        if size_bytes > self._limit_bytes:
            raise MessageTooLargeError(
                f"an answer of {size_bytes} bytes exceeds the limit of {self._limit_bytes}; "
                "send fewer rows at once, or raise the backend option max_message_mb"
            )
        if size_bytes <= len(self.view):
            return
        grown = min(self._limit_bytes, max(size_bytes, 2 * len(self.view)))
        os.posix_fallocate(self._fd, 0, grown)
        self.view = mmap.mmap(self._fd, grown, mmap.MAP_SHARED)
