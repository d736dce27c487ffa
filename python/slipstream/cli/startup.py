"""The models that a server has from its start.

They are what ``--load`` and ``models.json`` name, and what was loaded over HTTP before a restart.

``models.json`` in the model directory lists them with the keys of a load request::

    {"models": [{"model_id": "digits", "model_path": "digits.onnx", "pinned": true}]}

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

import msgspec

from slipstream.cli.logs import PRIVATE, PROGRESS
from slipstream.decoding import json_decoder
from slipstream.errors import SlipstreamError
from slipstream.models.ensembles import EnsembleMethod, read_ensemble
from slipstream.settings import Settings, SettingsError

if TYPE_CHECKING:
    from slipstream.api import Engine
    from slipstream.api.registry import Remembered
    from slipstream.api.tuning import Tuning

_progress = logging.getLogger(PROGRESS)
MODELS_FILE = "models.json"
_LOADS_AT_ONCE = 4


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


class _Listed(msgspec.Struct, forbid_unknown_fields=True):
    model_path: str
    model_id: str | None = None
    model_type: str = "auto"
    compile_model: bool = True
    pinned: bool = False
    cache_predictions: bool = False


class _Models(msgspec.Struct, forbid_unknown_fields=True):
    models: list[_Listed]


_models = json_decoder(_Models)


def parse_load(text: str) -> StartupLoad:
    """``PATH`` or ``PATH=ID``, as ``--load`` takes it."""
    path, equals, model_id = text.rpartition("=")
    if equals and path and model_id and "/" not in model_id:
        return StartupLoad(path, model_id)
    return StartupLoad(text)


def listed_loads(model_dir: Path) -> list[StartupLoad]:
    """What ``models.json`` names; nothing when there is no such file.

    Raises:
        SettingsError: the file cannot be read, or is not what the module describes.
    """
    file = model_dir / MODELS_FILE
    try:
        models = _models(file.read_bytes()).models
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read as a list of models: {error}") from error
    return [
        StartupLoad(
            listed.model_path,
            listed.model_id,
            listed.model_type,
            listed.compile_model,
            required=False,
            pinned=listed.pinned,
            cache_predictions=listed.cache_predictions,
        )
        for listed in models
    ]


def startup_loads(
    asked: Sequence[StartupLoad], model_dir: Path, remembered: Sequence[Remembered] = ()
) -> list[StartupLoad]:
    """``--load``, ``models.json`` and what is remembered; each beats those behind it."""
    loads = list(asked)
    taken = {load.model_id for load in asked if load.model_id is not None}
    loads += (load for load in listed_loads(model_dir) if load.model_id not in taken)
    ids = {load.model_id for load in loads if load.model_id is not None}
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


def _file_of(path: str, model_dir: Path) -> Path | None:
    from slipstream.models.paths import resolve_model_path  # here: it is not needed for messages

    try:
        return resolve_model_path(path, model_dir)
    except SlipstreamError:  # there is none, which the load will say
        return None


def _is_ensemble(load: StartupLoad, model_dir: Path) -> bool:
    file = _file_of(load.path, model_dir)
    try:
        return file is not None and read_ensemble(file) is not None
    except SlipstreamError:  # which the load will say
        return False


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
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(min(_LOADS_AT_ONCE, settings.max_workers))
        numbered = list(enumerate(self._loads, start=1))
        with_members = [one for one in numbered if _is_ensemble(one[1], settings.model_dir)]

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
                ensemble_method=load.ensemble_method,
                walled=True,
                pinned=load.pinned,
                cache_predictions=load.cache_predictions,
                tuning=load.tuning,
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
