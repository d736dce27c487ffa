"""The part of an engine that has models leave, also before they are there."""

from __future__ import annotations

from slipstream.api.declaring import Declaring
from slipstream.api.loads import Loads
from slipstream.api.members import require_unused
from slipstream.api.memory import resident_bytes, worker_bytes
from slipstream.api.model import Model
from slipstream.api.registry import Absences
from slipstream.errors import ModelInUseError, UnavailableError


class Unloading(Declaring):
    """Unloads models, and cancels loads."""

    loads: Loads
    absences: Absences

    def cancel_load(self, model_id: str) -> bool:
        """Ends the load of a model that is not loaded yet; blocks until it has ended.

        A process that converts the file is killed at once; what a backend has begun to read is
        waited for, up to ``drain_timeout_s``.

        Returns:
            Whether there was one, and it ended without a model.
        """
        with self._changed:
            if model_id not in self._loading or model_id in self._models:
                return False
            self.loads.cancel(model_id)
            self._changed.wait_for(
                lambda: model_id not in self._loading, self.settings.drain_timeout_s
            )
            return model_id not in self._models

    def unload(self, model_id: str) -> float | None:
        """Unloads a model; requests it accepted are answered first (10 s at most).

        One that could not be loaded when the server started is wanted no more.

        Returns:
            Resident memory that was freed, in MiB; None when none could be measured.

        Raises:
            ModelNotFoundError: no model of that id is loaded.
            ModelInUseError: an experiment draws from it, or an ensemble shares it.
        """
        model_id = self._names.target(model_id)
        with self._lock:
            if model_id in self._loading and model_id not in self._models:
                raise self._not_found(model_id)
            self._require_free(model_id)
        entry = self.registry.find(model_id)
        was_remembered = self.registry.forget(model_id)  # before another may get this id
        was_missed = self.absences.end(model_id)
        with self._lock:
            try:
                self._require_free(model_id)
            except ModelInUseError:  # since we asked
                if entry is not None:
                    self.registry.remember(entry)
                raise
            model = self._models.pop(model_id, None)
            self._names.drop(model_id)
            if model is not None:
                self._ending.append(model.version)
        if model is None:
            if was_remembered or was_missed:
                return None
            raise self._not_found(model_id)
        artifacts = model.version.worker_artifacts
        before_bytes = resident_bytes(with_children=False)
        before_bytes += sum(worker_bytes(artifacts).values())
        self._part_with(model, UnavailableError(f"model '{model_id}' is unloaded; load it again"))
        after_bytes = resident_bytes(with_children=False) + sum(worker_bytes(artifacts).values())
        freed_bytes = before_bytes - after_bytes
        return round(freed_bytes / (1 << 20), 6) if freed_bytes > 0 else None

    def _part_with(self, model: Model, reason: UnavailableError) -> None:
        """Ends a model whose version is ending, and whatever of it is not Python's.

        Whoever keeps the `Model` keeps its figures, not its memory, threads or child process.
        """
        model.end(reason)
        version = model.rest()
        self._end(version)
        model.settle(version)
        self.prediction_cache.forget(version.serial)

    def _require_free(self, model_id: str) -> None:
        if model_id in self._models:
            self.experiments.require_not_used(model_id)
            require_unused(self._models.values(), model_id)
