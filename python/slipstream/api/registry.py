"""What the server has to load again after a restart, and what of it is not there.

The registry is a file in the state folder. It is written before a load is answered, so what a
client was told is true after a crash as well.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from slipstream.api.state_file import write_whole
from slipstream.api.tuning import UNTUNED, Tuning
from slipstream.decoding import json_decoder
from slipstream.errors import SlipstreamError
from slipstream.models.ensembles import EnsembleMethod
from slipstream.models.paths import resolve_model_path

REGISTRY_FILE = "registry.json"
_log = logging.getLogger("slipstream.engine")


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """One model that was loaded over HTTP: how to load it again."""

    model_id: str
    model_path: str
    """As the client wrote it."""
    file: str
    """The file that was, from ``MODEL_DIR``, so that the server may be started from elsewhere."""
    model_type: str = "auto"
    compile_model: bool = True
    ensemble_method: EnsembleMethod | None = None
    cache_predictions: bool = False
    tuning: Tuning = UNTUNED
    """What was chosen for it, when it was loaded or since."""


def entry_of(
    model_id: str,
    model_path: str,
    file: Path,
    model_dir: Path,
    *,
    model_type: str,
    compile_model: bool,
    ensemble_method: EnsembleMethod | None,
    cache_predictions: bool,
    tuning: Tuning = UNTUNED,
) -> Remembered:
    """How a model that was just loaded is remembered; ``file`` has its links resolved."""
    wall = model_dir.resolve()
    inside = file.relative_to(wall) if file.is_relative_to(wall) else file
    return Remembered(
        model_id=model_id,
        model_path=model_path,
        file=str(inside),
        model_type=model_type,
        compile_model=compile_model,
        ensemble_method=ensemble_method,
        cache_predictions=cache_predictions,
        tuning=tuning,
    )


class _File(msgspec.Struct):
    models: list[Remembered]
    version: int = 1


_decode = json_decoder(_File)


class Registry:
    """The models to load again, by id, in order of loading. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / REGISTRY_FILE
        self._lock = threading.Lock()
        self._models: dict[str, Remembered] | None = None  # read on first use
        self.damage: str | None = None
        """Why the file could not be read, and nothing of it is there."""

    def all(self) -> list[Remembered]:
        """Everything that is remembered."""
        with self._lock:
            return list(self._read().values())

    def remember(self, model: Remembered) -> None:
        """Adds a model, or replaces the one of its id.

        Raises:
            UnavailableError: it cannot be written; then nothing has changed.
        """
        with self._lock:
            others = {key: value for key, value in self._read().items() if key != model.model_id}
            self._write(others | {model.model_id: model})

    def find(self, model_id: str) -> Remembered | None:
        """What is remembered of that id."""
        with self._lock:
            return self._read().get(model_id)

    def retune(
        self,
        model_id: str,
        *,
        is_current: Callable[[], bool],
        compile_model: bool,
        tuning: Tuning,
    ) -> None:
        """Notes what was chosen for a model; nothing where it is not remembered, or not current.

        Raises:
            UnavailableError: as `remember`.
        """
        with self._lock:
            models = self._read()
            before = models.get(model_id)
            if before is None or not is_current():
                return
            after = msgspec.structs.replace(before, compile_model=compile_model, tuning=tuning)
            if after != before:
                self._write(models | {model_id: after})

    def forget(self, model_id: str) -> bool:
        """Takes a model off; False when it was not there.

        Raises:
            UnavailableError: as `remember`.
        """
        with self._lock:
            models = self._read()
            if model_id not in models:
                return False
            self._write({key: value for key, value in models.items() if key != model_id})
            return True

    def _read(self) -> dict[str, Remembered]:
        if self._models is None:
            self._models = {model.model_id: model for model in self._models_of_file()}
        return self._models

    def _models_of_file(self) -> list[Remembered]:
        try:
            return _decode(self._path.read_bytes()).models
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.damage = str(error)
            aside = self._path.with_suffix(".damaged")
            _log.error(
                "%s cannot be read, so no model is loaded again; it is kept as %s: %s",
                *(self._path, aside.name, error),
            )
            if self._path.is_file():
                os.replace(self._path, aside)
            return []

    def _write(self, models: dict[str, Remembered]) -> None:
        text = msgspec.json.encode(_File(list(models.values())))
        write_whole(self._path, msgspec.json.format(text, indent=2))
        self._models = models


class Absence(NamedTuple):
    """A model that should be there and is not."""

    model_id: str | None
    path: str
    reason: str


class Absences:
    """Models that the server was to have from its start and could not load. Thread-safe."""

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir
        self._lock = threading.Lock()
        self._all: list[Absence] = []  # replaced, never changed

    def __len__(self) -> int:
        return len(self._all)

    def note(self, model_id: str | None, path: str, reason: str) -> None:
        """It did not load."""
        with self._lock:
            self._all = [*self._all, Absence(model_id, path, reason)]

    def end(self, model_id: str, file: Path | None = None) -> bool:
        """It is there now, or nobody wants it any more; False when it was not missed."""
        with self._lock:
            missed = self._all
            self._all = [one for one in missed if not self._is(one, model_id, file)]
            return len(self._all) < len(missed)

    def give_up(self, model_id: str | None, path: str) -> None:
        """Nobody wants any more what was noted so."""
        with self._lock:
            self._all = [one for one in self._all if one[:2] != (model_id, path)]

    def reason_of(self, model_id: str | None, path: str) -> str | None:
        """Why what was noted so is not there; None where nothing was."""
        return next((one.reason for one in self._all if one[:2] == (model_id, path)), None)

    def _is(self, one: Absence, model_id: str, file: Path | None) -> bool:
        if one.model_id is not None:  # of that id, whatever else its file is loaded as
            return one.model_id == model_id
        try:
            return file is not None and resolve_model_path(one.path, self._model_dir) == file
        except SlipstreamError:  # its file is not there, so it is not this one
            return False
