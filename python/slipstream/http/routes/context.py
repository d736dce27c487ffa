"""What routes work with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from slipstream.errors import ModelNotFoundError
from slipstream.http.answer_cache import AnswerCache
from slipstream.http.auth import Access
from slipstream.http.clock import Clock
from slipstream.http.health import RecentCounts
from slipstream.http.limits import Limits
from slipstream.http.machine import Machine
from slipstream.http.routes.interfaces import Autoscaler, SpeechFigures
from slipstream.http.served_speech import ServedSpeech
from slipstream.http.slow import LoadLane, SlowLane
from slipstream.http.traffic import Level, Traffic
from slipstream.http.window import SlidingWindow
from slipstream.settings import Settings
from slipstream.streams.table import StreamTable

if TYPE_CHECKING:
    from slipstream.api import Engine
    from slipstream.api.listed import Listed
    from slipstream.tasks.service import Tasks

_MIB = 1024 * 1024
_SEARCHES = 2
_LONG_THREADS = 2
_LONG_WAITING = 8
_LISTS_WAITING = 64
_MOST_LOADS = 36


class Context:
    """Handed to every route: the engine, the settings, the clock. Made once per server.

    ``settings`` are those in force at that moment: some change while the server runs.
    """

    def __init__(
        self, engine: Engine, settings: Settings, clock: Clock, access: Access | None = None
    ) -> None:
        from slipstream.downloads.service import Downloads  # here: as the engine is
        from slipstream.tune.searches import Searches

        self.engine = engine
        self.clock = clock
        self.recent = RecentCounts()
        self.recent_restarts = RecentCounts()
        self.window = SlidingWindow()
        self.accepting = True
        """False from the moment the server begins to shut down."""
        self.streams = StreamTable(lambda model_id: self.engine.get(model_id), settings)
        self.machine = Machine(settings.state_path)
        self.load_lane = LoadLane(_MOST_LOADS)
        """For loads and reloads, which get their turns from the engine."""
        self.long_lane = SlowLane(_LONG_THREADS, _LONG_WAITING, "long", "changes of models")
        """For what takes up to minutes, and must not hold up loads and unloads."""
        self.resolve_lane = SlowLane(
            _LONG_THREADS, _LONG_WAITING, "resolve", "requests for downloads"
        )
        """For asking others what they have."""
        self.catalog_lane = SlowLane(1, _LISTS_WAITING, "catalog", "requests for all models")
        self.downloads = Downloads(settings)
        self.search_lane = SlowLane(_SEARCHES, 0, "search", "searches")
        self.searches = Searches(engine)
        self.listed: Listed | None = None
        """What ``models.json`` lists; there from the moment the server begins to serve."""
        self.tasks: Tasks | None = None
        """Async predictions; there from the moment the server begins to serve."""
        self.answers = AnswerCache(settings.answer_cache_s)
        """Of endpoints that many ask and that change rarely."""
        self.port: int | None = None if settings.uds is not None else settings.port
        """That the server listens on; None on a Unix socket."""
        self.autoscaler: Autoscaler | None = None
        self.speech = ServedSpeech(engine)
        """Synthesis and transcription."""
        self.gate_is_full: Callable[[], bool] = lambda: False
        self.traffic = Traffic()
        self.limits = Limits(settings)
        self.access = access or Access(settings)
        """All three to be shared with the server's `App`."""
        self.level: Callable[[], Level] = lambda: Level(0, 0, 0)
        self.active_requests: Callable[[], int] = lambda: 0
        self.on_settings: Callable[[Settings], None] = lambda settings: None
        """Puts what the HTTP layer itself has to change in force."""
        self.on_hangup: list[Callable[[], None]] = [self.access.read_again]
        """What is read again on SIGHUP, one after the other, on a thread beside the event loop's.
        Each takes the new state over as a whole, or raises and leaves the old one in force."""

    @property
    def settings(self) -> Settings:
        """In force now."""
        return self.engine.settings

    def default_timeout_ms(self, model_id: str) -> float:
        """Deadline of a request for a model (or an experiment) that names none."""
        try:
            own_ms = self.engine.get(model_id).timeout_ms
        except ModelNotFoundError:  # which whoever sends the request will hear of
            own_ms = None
        return own_ms or self.settings.default_timeout_ms

    def status(self) -> Literal["running", "restarting", "stopping"]:
        """What the server does now."""
        if not self.accepting:
            return "stopping"
        return "restarting" if self.engine.is_restarting else "running"

    def speech_figures(self) -> SpeechFigures:
        """Of speech, now."""
        return self.speech.figures()

    @property
    def lanes_busy(self) -> bool:
        """Whether something runs on the lanes that are made here."""
        lanes = (self.load_lane, self.long_lane, self.search_lane, self.resolve_lane)
        return self.downloads.is_busy or any(lane.busy for lane in lanes)

    def close_lanes(self) -> None:
        """To be called last: drops what waits, leaves what runs to itself."""
        self.machine.gpu_watch.close()
        self.long_lane.close()
        self.search_lane.close()
        self.resolve_lane.close()
        self.catalog_lane.close()


def mebibytes(count: int | None) -> float | None:
    """Bytes as MiB to six digits; None stays None."""
    return None if count is None else round(count / _MIB, 6)
