"""A speech child as the server sees it: started on first use, one job at a time, supervised.

A child that dies or hangs costs the job that it did, and nobody else: who waits goes on with the
next one. All methods on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from slipstream import errors
from slipstream.audio.frames import LENGTHS, Frame, FrameError, head_of, lengths, pack
from slipstream.child_environment import child_environment
from slipstream.errors import (
    DeadlineExceededError,
    InferenceError,
    QueueFullError,
    SlipstreamError,
    UnavailableError,
)

log = logging.getLogger("slipstream.audio")
_START_TIMEOUT_S = 180.0
"""Importing and opening a large pipeline from a cold disk."""
_WITHDRAWN_S = 5.0
"""How long a withdrawn job may go on before its child is killed."""
_STREAM_BYTES = 1 << 20

OnPart = Callable[[dict[str, Any], bytes], None]


class ChildOptions(NamedTuple):
    """How children run."""

    nice: int
    threads: int
    """Of one child, while it computes."""
    memory_limit_mb: int | None = None


def _ignore(body: dict[str, Any], payload: bytes) -> None:
    """For jobs whose answer comes whole."""


class SpeechProcess:
    """One child process of a kind, over all its restarts.

    Args:
        kind: Of `slipstream.audio.child.KINDS`.
        what: For messages: ``the voice 'suno/bark'``.
        options: What the kind opens.
        child: How it runs.
        most_waiting: Jobs that may wait for it.
    """

    def __init__(
        self,
        kind: str,
        what: str,
        options: Mapping[str, Any],
        child: ChildOptions,
        most_waiting: int,
    ) -> None:
        self.what = what
        self.about: dict[str, Any] = {}
        """What the child said of itself when it was ready."""
        self.restarts = 0
        self._kind = kind
        self._options = {**options, **child._asdict(), "parent": os.getpid()}
        self._most_waiting = most_waiting
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._number = 0
        self._child: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether it does a job, or one waits."""
        return self._turn.locked() or self._waiting > 0

    @property
    def is_running(self) -> bool:
        """Whether a child is there that has said it is ready."""
        return self._child is not None and self._child.returncode is None

    @property
    def pid(self) -> int | None:
        """Of the child, where there is one."""
        return self._child.pid if self._child is not None and self.is_running else None

    async def run(
        self,
        body: Mapping[str, Any],
        payload: bytes = b"",
        *,
        timeout_s: float,
        on_part: OnPart = _ignore,
    ) -> tuple[dict[str, Any], bytes]:
        """Does one job. Cancelling the coroutine withdraws it.

        Args:
            body: What the kind's worker is asked.
            payload: Bytes that go with it.
            timeout_s: Until the answer, waiting for others included.
            on_part: Called with each part of the answer as it comes.

        Raises:
            QueueFullError: as many jobs wait as may.
            DeadlineExceededError: no answer in time; a child that does not drop it is killed.
            UnavailableError: the child died, or the server ends.
            SlipstreamError: what the worker says of the request.
        """
        if self._waiting >= self._most_waiting:
            raise QueueFullError(
                f"{self._waiting} requests wait for {self.what} already; try again later",
                retry_after_s=5,
            )
        deadline = asyncio.get_running_loop().time() + timeout_s
        late = DeadlineExceededError(f"{self.what} did not answer within {timeout_s:g} s")
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError:
            raise late from None
        finally:
            self._waiting -= 1
        self._number += 1
        number, child, is_withdrawn = self._number, None, False
        try:
            async with asyncio.timeout_at(deadline):
                child = await self._running()
                await _send(child, {"number": number, "ask": dict(body)}, payload)
                return await self._answer(child, number, on_part)
        except TimeoutError:
            is_withdrawn = True
            raise late from None
        except (OSError, FrameError, asyncio.IncompleteReadError) as error:
            raise await self._died(child, error) from None
        except asyncio.CancelledError:
            is_withdrawn = True
            raise
        finally:
            if is_withdrawn and child is not None:
                self._settle(child, number)
            else:
                self._turn.release()

    async def _running(self) -> asyncio.subprocess.Process:
        """The child, ready; started by whoever comes first, and not given up when he goes."""
        if self._is_closed:
            raise UnavailableError(f"{self.what} is being closed; try again", retry_after_s=1)
        if self._child is not None and self._child.returncode is None:
            return self._child
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
            self._starting.add_done_callback(self._started)
        return await asyncio.shield(self._starting)

    def _started(self, starting: asyncio.Task[asyncio.subprocess.Process]) -> None:
        self._starting = None
        if not starting.cancelled() and starting.exception() is None:
            self._child = starting.result()

    async def _start(self) -> asyncio.subprocess.Process:
        threads = str(self._options["threads"])
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "slipstream.audio.child", self._kind),
            json.dumps(self._options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_STREAM_BYTES,
            env={**child_environment(), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            start_new_session=True,  # Ctrl-C is the server's business
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                self.about, _ = await self._answer(child, 0, _ignore)
        except TimeoutError:
            await self._end(child)
            raise UnavailableError(
                f"{self.what} was not ready within {_START_TIMEOUT_S:g} s"
            ) from None
        except (OSError, FrameError, asyncio.IncompleteReadError) as error:
            raise await self._died(child, error) from None
        except BaseException:
            await self._end(child)
            raise
        log.info("%s runs in process %d", self.what, child.pid)
        return child

    @staticmethod
    async def _answer(
        child: asyncio.subprocess.Process, number: int, on_part: OnPart
    ) -> tuple[dict[str, Any], bytes]:
        while True:
            frame = await _receive(child)
            if frame.head.get("number") != number:
                raise FrameError(f"an answer to {frame.head.get('number')} instead of {number}")
            if "part" in frame.head:
                on_part(frame.head["part"], frame.payload)
            elif "failed" in frame.head:
                raise _error_of(frame.head["failed"])
            else:
                return frame.head["done"], frame.payload

    def _settle(self, child: asyncio.subprocess.Process, number: int) -> None:
        """Nobody wants the job any more: has the child drop it, and then lets the next in."""
        task = asyncio.ensure_future(self._drop(child, number))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _drop(self, child: asyncio.subprocess.Process, number: int) -> None:
        try:
            async with asyncio.timeout(_WITHDRAWN_S):
                await _send(child, {"number": number, "cancel": True})
                await self._answer(child, number, _ignore)
        except SlipstreamError:  # the job's end, as wanted
            log.debug("a job of %s was withdrawn", self.what)
        except (TimeoutError, OSError, FrameError, asyncio.IncompleteReadError) as error:
            # Hung, or in the middle of a long computation or of a message: another is quicker.
            log.warning("%s: its process is killed in the middle of a job (%r)", self.what, error)
            await self._end(child)
        finally:
            self._turn.release()

    async def _died(
        self, child: asyncio.subprocess.Process | None, error: Exception
    ) -> SlipstreamError:
        if child is None:
            log.error("%s: its process cannot be started (%r)", self.what, error)
            return UnavailableError(f"The process of {self.what} cannot be started: {error}")
        await self._end(child)
        status = child.returncode
        log.error("%s: its process ended with status %s (%r)", self.what, status, error)
        how = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
        return UnavailableError(
            f"The process of {self.what} ended in the middle of the request ({how}); the next "
            "request starts another",
            retry_after_s=1,
        )

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        if child is self._child:
            self._child = None
            self.restarts += 1
        if child.returncode is None:
            child.kill()
        await child.wait()

    async def close(self) -> None:
        """Ends the child, whatever it does."""
        self._is_closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        if self._child is not None:
            await self._end(self._child)


async def _send(
    child: asyncio.subprocess.Process, head: Mapping[str, Any], payload: bytes = b""
) -> None:
    assert child.stdin is not None
    for piece in pack(head, payload):
        child.stdin.write(piece)
    await child.stdin.drain()


async def _receive(child: asyncio.subprocess.Process) -> Frame:
    stream = child.stdout
    assert stream is not None
    head_bytes, payload_bytes = lengths(await stream.readexactly(LENGTHS.size))
    head = head_of(await stream.readexactly(head_bytes))
    return Frame(head, await stream.readexactly(payload_bytes) if payload_bytes else b"")


def _error_of(failed: Mapping[str, Any]) -> SlipstreamError:
    """The error that a child describes; of a kind that is not ours, an `InferenceError`."""
    kind = getattr(errors, str(failed["kind"]), None)
    if not (isinstance(kind, type) and issubclass(kind, SlipstreamError)):
        kind = InferenceError
    return kind(str(failed["text"]), **failed["details"])
