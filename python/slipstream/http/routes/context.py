"""What routes work with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from slipstream.http.clock import Clock
from slipstream.http.health import RecentCounts
from slipstream.http.machine import Machine
from slipstream.http.window import SlidingWindow
from slipstream.settings import Settings

if TYPE_CHECKING:
    from slipstream.api import Engine

_MIB = 1024 * 1024


class Context:
    """Handed to every route: the engine, the settings, the clock. Made once per server.

    ``settings`` are those in force at that moment: some change while the server runs.
    """

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock
        self.recent = RecentCounts()
        self.recent_restarts = RecentCounts()
        self.window = SlidingWindow()
        self.accepting = True
        """False from the moment the server begins to shut down."""
        self.machine = Machine(settings.state_path)
        self.gate_is_full: Callable[[], bool] = lambda: False
        self.active_requests: Callable[[], int] = lambda: 0
        self.on_settings: Callable[[Settings], None] = lambda settings: None
        """Puts what the HTTP layer itself has to change in force."""

    @property
    def settings(self) -> Settings:
        """In force now."""
        return self.engine.settings


def mebibytes(count: int | None) -> float | None:
    """Bytes as MiB to six digits; None stays None."""
    return None if count is None else round(count / _MIB, 6)
