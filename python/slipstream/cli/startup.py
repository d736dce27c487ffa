"""The models that a server has from its start: what ``--load`` and ``models.json`` name.

``models.json`` in the model directory lists them with the keys of a load request::

    {"models": [{"model_id": "digits", "model_path": "digits.onnx"}]}

A model of ``--load`` that does not load ends the start: somebody is watching. One of
``models.json`` does not: the others are served, and health says ``degraded``.
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

from slipstream.cli.logs import PROGRESS
from slipstream.errors import SlipstreamError
from slipstream.settings import Settings, SettingsError

if TYPE_CHECKING:
    from slipstream.api import Engine

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


class _Listed(msgspec.Struct, forbid_unknown_fields=True):
    model_path: str
    model_id: str | None = None
    model_type: str = "auto"
    compile_model: bool = True


class _Models(msgspec.Struct, forbid_unknown_fields=True):
    models: list[_Listed]


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
        models = msgspec.json.decode(file.read_bytes(), type=_Models).models
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
        )
        for listed in models
    ]


def startup_loads(asked: Sequence[StartupLoad], model_dir: Path) -> list[StartupLoad]:
    """``--load`` and ``models.json`` together; an id that was asked for beats the listed one."""
    taken = {load.model_id for load in asked if load.model_id is not None}
    return [*asked, *(load for load in listed_loads(model_dir) if load.model_id not in taken)]


def say(text: str) -> None:
    """Progress, for whoever watches."""
    _progress.info("%s", text)


class Loader:
    """Loads models side by side, a few at once, and tells how it goes. One use each."""

    def __init__(self, engine: Engine, loads: Sequence[StartupLoad]) -> None:
        self._engine = engine
        self._loads = loads
        self._given_up = threading.Event()
        self.failed = 0
        """Models that are not there although ``models.json`` names them."""

    async def run(self, settings: Settings, stop: asyncio.Event) -> bool:
        """Loads all of them; False when ``stop`` was set meanwhile.

        Raises:
            SlipstreamError: a required model does not load; names the file.
        """
        if not self._loads:
            return not stop.is_set()
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(min(_LOADS_AT_ONCE, settings.max_workers))
        loading = asyncio.gather(
            *(
                loop.run_in_executor(pool, self._load, number, load)
                for number, load in enumerate(self._loads, start=1)
            )
        )
        stopped = asyncio.ensure_future(stop.wait())
        waiting: set[asyncio.Future[Any]] = {stopped, loading}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                loading.cancel()
                return False
            self.failed = sum(not loaded for loaded in await loading)
            return True
        finally:
            self._given_up.set()
            stopped.cancel()
            pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, number: int, load: StartupLoad) -> bool:
        self._tell(number, f"loading {load.path} …")
        started = time.monotonic()
        try:
            model = self._engine.load(
                load.path,
                load.model_type,
                model_id=load.model_id,
                compile_model=load.compile_model,
                walled=True,
            )
        except SlipstreamError as error:
            if load.required:
                raise type(error)(
                    f"--load {load.path}: {error.message}", **error.details
                ) from error
            self._tell(number, f"{load.path} is not served: {error.message}")
            return False
        how = "compiled" if model.compiled else f"not compiled ({model.reason})"
        took_s = time.monotonic() - started
        self._tell(
            number,
            f"{load.path} is model '{model.model_id}': {model.model_type}, {how}, {took_s:.2f} s",
        )
        return True

    def _tell(self, number: int, text: str) -> None:
        if not self._given_up.is_set():
            say(f"[{number}/{len(self._loads)}] {text}")
