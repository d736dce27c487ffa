"""The models that a server has from its start.

They are what ``--load`` and ``models.json`` name, and what was loaded over HTTP before a restart.

``models.json`` is the operator's list (`slipstream.models.catalog`).

A model of ``--load`` that does not load ends the start: somebody is watching. Another one does not:
the rest are served, and health says ``degraded``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from slipstream.cli.logs import PRIVATE, PROGRESS
from slipstream.errors import SlipstreamError
from slipstream.models.catalog import Catalog, ModelEntry
from slipstream.models.catalog_file import CatalogError, read_catalog
from slipstream.models.declared import UNDECLARED, Declared
from slipstream.models.ensembles import EnsembleMethod
from slipstream.settings import Settings, SettingsError

if TYPE_CHECKING:
    from slipstream.api import Engine
    from slipstream.api.registry import Remembered
    from slipstream.api.tuning import Tuning

_progress = logging.getLogger(PROGRESS)


class StartupLoad(NamedTuple):
    """One model to load before serving."""

    path: str
    model_id: str | None = None
    model_type: str = "auto"
    compile_model: bool = True
    required: bool = True
    """Whether the server must not start without it."""
    ensemble_method: EnsembleMethod | None = None
    shown_path: str | None = None
    """How whoever loaded it wrote ``path``; None: so."""
    pinned: bool = True
    """Whether it is never evicted."""
    cache_predictions: bool = False
    tuning: Tuning | None = None
    """What was chosen for it before the restart."""
    instances: int | None = None
    declared: Declared = UNDECLARED
    """What else the list says of it."""


def parse_load(text: str) -> StartupLoad:
    """``PATH`` or ``PATH=ID``, as ``--load`` takes it."""
    path, equals, model_id = text.rpartition("=")
    if equals and path and model_id and "/" not in model_id:
        return StartupLoad(path, model_id)
    return StartupLoad(text)


def listed_models(model_dir: Path) -> Catalog:
    """What ``models.json`` says.

    Raises:
        SettingsError: the file cannot be read, or is not valid; names every line that is not.
    """
    try:
        return read_catalog(model_dir)
    except CatalogError as error:
        raise SettingsError(error.message) from error


def startup_loads(
    asked: Sequence[StartupLoad],
    listed: Catalog,
    model_dir: Path,
    remembered: Sequence[Remembered] = (),
) -> list[StartupLoad]:
    """``--load``, ``models.json`` and what is remembered; each beats those behind it."""
    loads = list(asked)
    taken = {load.model_id for load in asked if load.model_id is not None}
    loads += (_of_entry(entry) for entry in listed.enabled if entry.model_id not in taken)
    ids = {load.model_id for load in loads if load.model_id is not None}
    ids |= {alias for entry in listed.enabled for alias in entry.aliases}
    files = {_file_of(load.path, model_dir) for load in loads}
    for model in remembered:
        path = str(model_dir.resolve() / model.file)
        file = _file_of(path, model_dir)
        if model.model_id not in ids and (file is None or file not in files):
            loads.append(
                StartupLoad(
                    path,
                    model.model_id,
                    model.model_type,
                    model.compile_model,
                    required=False,
                    pinned=False,
                    ensemble_method=model.ensemble_method,
                    shown_path=model.model_path,
                    cache_predictions=model.cache_predictions,
                    tuning=model.tuning,
                )
            )
    return loads


def _of_entry(entry: ModelEntry) -> StartupLoad:
    from slipstream.api.listed import tuning_of  # here: it is not needed for messages

    return StartupLoad(
        entry.model_path,
        entry.model_id,
        entry.model_type,
        entry.compile_model,
        required=False,
        ensemble_method=entry.ensemble_method,
        pinned=entry.pinned,
        cache_predictions=entry.cache_predictions,
        tuning=tuning_of(entry),
        instances=entry.instances,
        declared=entry.declared(),
    )


def _file_of(path: str, model_dir: Path) -> Path | None:
    from slipstream.models.paths import resolve_model_path  # here: it is not needed for messages

    try:
        return resolve_model_path(path, model_dir)
    except SlipstreamError:  # there is none, which the load will say
        return None


def say(text: str) -> None:
    """Progress, for whoever watches."""
    _progress.info("%s", text)


def say_privately(text: str) -> None:
    """The same, and no log file keeps it."""
    _progress.info("%s", text, extra=PRIVATE)


class Loader:
    """Loads models side by side, a few at once, and tells how it goes. One use each."""

    def __init__(self, engine: Engine, loads: Sequence[StartupLoad]) -> None:
        self._engine = engine
        self._loads = loads
        self._given_up = threading.Event()

    async def run(self, settings: Settings, stop: asyncio.Event) -> bool:
        """Loads all of them; False when ``stop`` was set meanwhile.

        Raises:
            SlipstreamError: a required model does not load; names the file.
        """
        if not self._loads:
            return not stop.is_set()
        from slipstream.api.listed import is_ensemble  # here: as the engine

        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(settings.max_concurrent_loads)
        numbered = list(enumerate(self._loads, start=1))
        folder = settings.model_dir
        with_members = [one for one in numbered if is_ensemble(one[1].path, folder)]

        async def load_all() -> None:
            first = [one for one in numbered if one not in with_members]
            for loads in (first, with_members):  # ensembles share models that must be there
                await asyncio.gather(
                    *(loop.run_in_executor(pool, self._load, *one) for one in loads)
                )

        loading = asyncio.ensure_future(load_all())
        stopped = asyncio.ensure_future(stop.wait())
        waiting: set[asyncio.Future[Any]] = {stopped, loading}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                loading.cancel()
                return False
            await loading
            return True
        finally:
            self._given_up.set()
            stopped.cancel()
            pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, number: int, load: StartupLoad) -> None:
        shown = load.shown_path or load.path
        self._tell(number, f"loading {shown} …")
        started = time.monotonic()
        try:
            model = self._engine.load(
                load.path,
                load.model_type,
                model_id=load.model_id,
                compile_model=load.compile_model,
                instances=load.instances,
                ensemble_method=load.ensemble_method,
                walled=True,
                pinned=load.pinned,
                cache_predictions=load.cache_predictions,
                tuning=load.tuning,
                declared=load.declared,
            )
            model.model_path = shown
        except SlipstreamError as error:
            if load.required:
                raise type(error)(
                    f"--load {load.path}: {error.message}", **error.details
                ) from error
            self._engine.absences.note(load.model_id, load.path, error.message)
            self._tell(number, f"{shown} is not served: {error.message}")
            return
        how = "compiled" if model.compiled else f"not compiled ({model.reason})"
        took_s = time.monotonic() - started
        self._tell(
            number,
            f"{shown} is model '{model.model_id}': {model.model_type}, {how}, {took_s:.2f} s",
        )

    def _tell(self, number: int, text: str) -> None:
        if not self._given_up.is_set():
            say(f"[{number}/{len(self._loads)}] {text}")
