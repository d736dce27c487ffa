"""SIGHUP: what came from files is read again while the server runs.

Whoever can read something again adds a function to ``context.on_hangup``. It runs on a thread of
the loop's executor, never beside another one; it either takes the new state over as a whole, or
raises and leaves the old one in force. More signals during that are one more run.

The kernel sends the same signal when a terminal goes away. Then a server that was started there
ends in good order, unless it was told to survive that (``nohup``).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence

from slipstream.errors import SlipstreamError

_log = logging.getLogger("slipstream.hangup")
_TERMINAL = "/dev/tty"


class Hangups:
    """Counts SIGHUP from the moment it is made; `heed` acts on it. The event loop's thread."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._came = asyncio.Event()
        survives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._has_terminal = not survives and _terminal_is_there()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._note)

    def _note(self) -> None:
        if self._has_terminal and not _terminal_is_there():
            self._stop.set()
        else:
            self._came.set()

    async def heed(self, steps: Sequence[Callable[[], None]]) -> None:
        """Runs every step, in order, each time the signal has come; to be cancelled.

        Args:
            steps: As it is when the signal comes: steps may be added at any time.
        """
        loop = asyncio.get_running_loop()
        while True:
            await self._came.wait()
            self._came.clear()
            _log.info("SIGHUP: reading again what came from files")
            for step in tuple(steps):
                try:
                    await loop.run_in_executor(None, step)
                except SlipstreamError as error:
                    _log.error("not read again, what was in force stays: %s", error.message)
                except Exception:
                    _log.exception("not read again, what was in force stays")


def _terminal_is_there() -> bool:
    """Whether this process has a terminal that may send it the signal."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
