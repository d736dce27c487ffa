"""All searches of a server: one per model at a time, the last one of each model remembered."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Literal

from slipstream.errors import ModelBusyError, SlipstreamError, UnavailableError
from slipstream.tune.run import SearchRun, Wanted
from slipstream.tune.search import Search

if TYPE_CHECKING:
    from slipstream.api import Engine, Model

State = Literal["none", "running", "finished", "failed"]
_MOST_REMEMBERED = 256


class Entry:
    """One search and how it is going.

    Once it is over nothing of it holds the model, whose memory must go when it is unloaded.
    """

    def __init__(self, run: SearchRun) -> None:
        self.model = weakref.ref(run.model)
        self.model_id = run.model.model_id
        self.run: SearchRun | None = run
        """None once it is over."""
        self.search: Search | None = None
        """None until the space of candidates is known."""
        self.state: State = "running"
        self.applied = False
        self.error: SlipstreamError | None = None
        """Why it failed."""

    @property
    def seconds_left(self) -> float:
        """Of its budget; 0 once it is over."""
        run = self.run
        return 0.0 if run is None else run.seconds_left

    def progress(self) -> Search | None:
        """The search as far as it is; None while it has not begun to measure."""
        run = self.run
        return self.search if run is None else run.search

    def end(self, state: State, error: SlipstreamError | None = None) -> None:
        """Keeps what came of it."""
        assert self.run is not None, "it ends once"
        self.search, self.applied = self.run.search, self.run.applied
        self.error = error
        self.state = state
        self.run = None


class Searches:
    """Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._entries: dict[str, Entry] = {}  # by model id, the last one of each
        self._is_stopping = False

    def begin(self, model: Model, wanted: Wanted) -> Entry:
        """Enters a search, whose time begins now; `carry_out` runs it.

        Raises:
            ModelBusyError: one is running on that model.
            UnavailableError: the server is shutting down.
        """
        with self._lock:
            if self._is_stopping:
                raise UnavailableError("the server is shutting down")
            known = self._entries.pop(model.model_id, None)
            if known is not None and known.state == "running":
                self._entries[model.model_id] = known
                raise ModelBusyError(
                    f"model {model.model_id!r} is being optimized already, for another "
                    f"{known.seconds_left:.0f} s at most; GET the same path tells how it goes",
                    model_id=model.model_id,
                )
            entry = Entry(SearchRun(self._engine, model, wanted, self._turn))
            self._entries[model.model_id] = entry
            self._forget()
            return entry

    def _forget(self) -> None:
        """Keeps what is remembered bounded."""
        ended = [name for name, entry in self._entries.items() if entry.state != "running"]
        for name in ended[: max(0, len(self._entries) - _MOST_REMEMBERED)]:
            del self._entries[name]

    def carry_out(self, entry: Entry) -> SearchRun:
        """Runs a search to its end; blocks. Returns it. Raises: as `SearchRun.run`."""
        run = entry.run
        assert run is not None, "it is carried out once"
        try:
            run.run()
        except BaseException as error:
            entry.end("failed", error if isinstance(error, SlipstreamError) else None)
            raise
        entry.end("finished")
        return run

    def abandon(self, entry: Entry) -> None:
        """Takes back a search that was not carried out."""
        with self._lock:
            if self._entries.get(entry.model_id) is entry:
                del self._entries[entry.model_id]

    def of(self, model: Model) -> Entry | None:
        """The last search on a model, running or not; None: there was none since it was loaded."""
        entry = self._entries.get(model.model_id)
        return entry if entry is not None and entry.model() is model else None

    def stop(self) -> None:
        """Ends what runs, and admits nothing from now on. Returns at once."""
        with self._lock:
            self._is_stopping = True
            runs = [entry.run for entry in self._entries.values()]
        for run in runs:
            if run is not None:
                run.stop()
