"""Changing how a loaded model answers: another version beside it, and the swap."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from slipstream.api.beside import Beside
from slipstream.api.ensemble_loading import Ensembles
from slipstream.api.loading import prepared_of
from slipstream.api.members import Fresh, are_current, require_users
from slipstream.api.model import LoadOptions, Model
from slipstream.api.prediction_cache import PredictionCache
from slipstream.api.promise import Promise
from slipstream.api.registry import Registry
from slipstream.api.restarting import Restarting
from slipstream.api.tuning import Tuning
from slipstream.api.version import Version
from slipstream.errors import (
    ModelBusyError,
    ModelNotFoundError,
    SlipstreamError,
    UnavailableError,
)
from slipstream.models.paths import resolve_model_path
from slipstream.models.prepare import Prepared
from slipstream.models.sidecar import sidecar_of

_log = logging.getLogger("slipstream.engine")


class Changing(Restarting):
    """The part of `slipstream.Engine` that reload, quantize, compile and optimize share."""

    prediction_cache: PredictionCache
    registry: Registry
    _ensembles: Ensembles

    def _not_found(self, model_id: str) -> ModelNotFoundError:
        names = sorted(self._models.copy())
        return ModelNotFoundError(
            f"Model with ID '{model_id}' not found", model_id=model_id, available_models=names
        )

    def model(self, model_id: str) -> Model:
        """The model of that id or alias, for what an experiment cannot do.

        Raises:
            ModelNotFoundError: no model of that id is loaded.
        """
        model = self._models.get(self._names.target(model_id))
        if model is None:
            raise self._not_found(model_id)
        return model

    def set_instances(self, model: Model, count: int) -> int:
        """Has a model answer with more or fewer instances, within what ``max_workers`` leaves.

        Blocks: new ones are made and warmed up, others finish what they have begun.

        Returns:
            How many there are now; 0 for a model that rests.

        Raises:
            InvalidInputError: below 1, or the model has no instances of its own.
            UnavailableError: it is being unloaded, or an instance is busy for over a second.
            SlipstreamError: an instance cannot be made.
        """
        version = model.version
        with self._promised() as promise:
            with self._lock:
                now = version.core.instances
                count = min(count, now + max(0, self._instances_left(None)))
                promise.instances = max(0, count - now)
            version.core.set_instances(count)
        return version.core.instances

    def prepared(self, model: Model, options: LoadOptions, tuning: Tuning) -> Prepared:
        """The artifact of a loaded model's file, as the file is now. Raises: as `load`."""
        file = resolve_model_path(
            str(model.file), self.settings.model_dir if options.walled else None
        )
        return prepared_of(self.settings, file, options, tuning)

    def beside(
        self,
        model: Model,
        prepared: Prepared,
        tuning: Tuning,
        began: float | None = None,
        *,
        is_nested: bool = False,
    ) -> AbstractContextManager[Beside]:
        """Starts another version beside the one that answers; closed in the end, if not swapped in.

        Args:
            model: Whose version it may become.
            prepared: What it runs.
            tuning: How it runs.
            began: When loading began, by the monotonic clock; None: now.
            is_nested: Inside the block of another: a restart waits for both.
        """

        def load(promise: Promise) -> tuple[Version, int]:
            version = self._start(
                *(model.model_id, model.file, prepared, promise, model.load_options.instances),
                began=time.monotonic() if began is None else began,
                sidecar=sidecar_of(model.file, model.declared),
                tuning=tuning,
                replaced=model.version,
            )
            return version, prepared.size_bytes

        return self._beside(model, tuning, load, is_nested=is_nested)

    @contextmanager
    def _beside(
        self,
        model: Model,
        tuning: Tuning,
        load: Callable[[Promise], tuple[Version, int]],
        *,
        is_nested: bool = False,
    ) -> Iterator[Beside]:
        with self._promised(is_restart=is_nested) as promise:
            beside = Beside(model, *load(promise), tuning, promise)
            try:
                yield beside
            finally:
                if not beside.is_swapped:
                    beside.version.core.close(0.0)

    def swap(
        self, beside: Beside, still: Callable[[], bool], options: LoadOptions | None = None
    ) -> None:
        """Lets a version answer from now on; the old one ends what it has accepted.

        Ensembles that share the model are made again with the new version, and swapped with it.

        Args:
            beside: The version, inside the block of `beside`. Reloads keep its tuning.
            still: Asked under the lock: whether that holds on which the change was founded.
            options: Load options that reloads use from now on; None: those there are.

        Raises:
            ModelNotFoundError: the model was unloaded meanwhile.
            ModelBusyError: what the change was founded on does not hold any more.
            ModelLoadError: an ensemble does not take the new version.
        """
        model = beside.model
        with ExitStack() as promises:
            users = self._ensembles.users_with(model, beside.version, promises)
            try:
                with self._lock:
                    if not still():
                        raise ModelBusyError(
                            f"model {model.model_id!r} was changed by another request meanwhile, "
                            "so nothing was changed by this one: try again",
                            model_id=model.model_id,
                        )
                    beside.version.core.set_max_batch_rows(self._batch_rows(beside.tuning))
                    for user, version, _ in users:
                        version.core.set_max_batch_rows(self._batch_rows(user.tuning))
                    old = self._swap([Fresh(model, beside.version, beside.size_bytes), *users])
                    model.tuning = beside.tuning
                    model.load_options = options or model.load_options
                    beside.is_swapped = True
                    beside.promise.instances = 0  # the model has them now
            except SlipstreamError:
                for _, unused, _ in reversed(users):
                    unused.core.close(0.0)  # nobody would ever close it
                raise
        for one, _, _ in [Fresh(model, beside.version, beside.size_bytes), *users]:
            one.let_in()
        self._keep_tuning(model)
        for ended in reversed(old):  # ensembles before what they are made of
            self._end(ended)
            self.prediction_cache.forget(ended.serial)

    def _keep_tuning(self, model: Model) -> None:
        """For the next start. What cannot be kept holds until then, and the log says so."""
        try:
            self.registry.retune(
                model.model_id,
                is_current=lambda: self._models.get(model.model_id) is model,
                compile_model=model.load_options.compile_model,
                tuning=model.tuning,
            )
        except UnavailableError as error:
            _log.error("what was chosen for model '%s' is not kept: %s", model.model_id, error)

    def _swap(self, fresh: list[Fresh]) -> list[Version]:
        """Lets versions answer from now on, all or none; under the lock. Returns the old ones."""
        for model, _, _ in fresh:
            if self._models.get(model.model_id) is not model:
                raise self._not_found(model.model_id)
        require_users(self._models.values(), fresh)
        coming = {model.model_id: version for model, version, _ in fresh}
        for model, version, _ in fresh:
            if not are_current(version, self._models, coming):
                raise ModelBusyError(
                    f"a member of ensemble {model.model_id!r} was changed by another request "
                    "meanwhile: try again",
                    model_id=model.model_id,
                )
        ended = []
        for model, version, size_bytes in fresh:
            old = model.replace_version(version, time.time(), size_bytes)
            self._ending.append(old)
            self._publish(model)
            ended.append(old)
        return ended
