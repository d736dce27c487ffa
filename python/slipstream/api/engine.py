"""The engine: loads model files and keeps what is loaded."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slipstream._version import __version__
from slipstream.api.beside import Beside
from slipstream.api.counts import CountKeeper, Observed
from slipstream.api.ensemble_loading import Ensembles, Promise
from slipstream.api.experiment import Experiment
from slipstream.api.experiments import Experiments
from slipstream.api.ids import require_id
from slipstream.api.loading import check_ensemble, prepared_of, started
from slipstream.api.members import Fresh, are_current, require_unused, require_users
from slipstream.api.memory import resident_bytes
from slipstream.api.model import LoadOptions, Model
from slipstream.api.tuning import UNTUNED, Tuning
from slipstream.api.version import Totals, Version, totals_of
from slipstream.engine.completions import ThreadCompletions
from slipstream.engine.runtime import (
    CoreEndpoint,
    CoreLatencies,
    PredictRoute,
    available_cpus,
    start_core,
)
from slipstream.errors import (
    AmbiguousModelError,
    ModelAlreadyLoadedError,
    ModelBusyError,
    ModelNotFoundError,
    SlipstreamError,
    UnavailableError,
)
from slipstream.models.ensembles import EnsembleMethod, read_ensemble
from slipstream.models.paths import resolve_model_path
from slipstream.models.prepare import Prepared
from slipstream.settings import Settings, with_changes

_MAX_IN_FLIGHT = 8192


class Engine:
    """Loads models and answers for them; a context manager. Thread-safe.

    Args:
        settings: Everything the operator decides; None takes the defaults of an in-process engine.
        **changes: Single settings, by name, on top: ``Engine(allow_custom_code=True)``.
    """

    def __init__(self, settings: Settings | None = None, **changes: Any) -> None:
        settings = settings or Settings(state_dir=_user_cache_dir(), worker_nice=0)
        self.settings = with_changes(settings, changes)
        self.version = __version__
        self.started_at = time.time()
        """Seconds since the epoch."""
        self._core = start_core(_MAX_IN_FLIGHT)
        self._completions = ThreadCompletions()
        self._lock = threading.Lock()
        self._models: dict[str, Model] = {}  # by id, in order of loading
        self._endpoints: dict[str, CoreEndpoint] = {}  # of the same models
        self._ending: list[Version] = []  # out of service, and still answering what they accepted
        self._ended = Totals(0, 0, 0, CoreLatencies())  # of those that have
        self._counts = CountKeeper()  # the same by model
        self._loading: dict[str, Path] = {}  # ids and files that are being loaded now
        self._promises: list[Promise] = []  # to versions that are being loaded now
        self.experiments = Experiments(self._models, self._loading, self._lock)
        """Names for several models, of which one is drawn for each request."""
        self._ensembles = Ensembles(self, self._core, self._promised, self._load_version)
        self._close_lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def load(
        self,
        path: str | Path,
        model_type: str = "auto",
        *,
        model_id: str | None = None,
        compile_model: bool = True,
        instances: int | None = None,
        ensemble_method: EnsembleMethod | None = None,
        walled: bool = False,
    ) -> Model:
        """Loads a model file; blocks until the model can answer.

        Args:
            path: The file. A pickle is opened in a converter child only.
            model_type: ``"sklearn"``, ``"xgboost"``, ``"lightgbm"``, ``"onnx"``, ``"custom"``, or
                ``"auto"``: by content.
            model_id: How to call it; None derives an id from path and content.
            compile_model: Convert to a compiled artifact if that can be proven right.
            instances: Parallel executions; None: one per core for compiled models, else one.
            ensemble_method: ``"voting"``, ``"stacking"`` or ``"bagging"``: what the file's ensemble
                must be; None takes any model.
            walled: Refuse files outside ``settings.model_dir``, as the HTTP API does.

        Raises:
            ModelNotFoundError: no file there.
            ModelAlreadyLoadedError: the same file, or another under this id, is loaded.
            UnsafeModelError: outside the wall, or the file would run code that is not allowed.
            ModelLoadError: no model, another type than was said, damaged.
            MissingDependencyError: a library the model needs is not installed.
        """
        wall = self.settings.model_dir if walled else None
        file = resolve_model_path(str(path), wall)
        if model_id is not None:
            require_id(model_id, "model_id")
        model_id = model_id or _id_of(file)
        with self._reserved(model_id, file), self._promised() as promise:
            options = LoadOptions(model_type, compile_model, instances, walled, ensemble_method)
            version, size_bytes = self._load_version(model_id, file, options, promise)
            model = Model(
                *(model_id, str(path), file, version, self._completions),
                *(time.time(), size_bytes),
            )
            model.load_options = options
            with self._lock:
                if not self._closed and are_current(version, self._models):
                    self._models[model_id] = model
                    self._open_express(model_id, version)
                    promise.instances = 0  # the model has them now
                    return model
        version.core.close(0.0)
        raise UnavailableError(
            "while the model was loading, the engine was closed or a member of it was changed"
        )

    def _open_express(self, model_id: str, version: Version) -> None:
        """Lets express routes answer for a version that can be. The lock is held."""
        if version.endpoint is None:
            self._endpoints.pop(model_id, None)
        else:
            self._endpoints[model_id] = version.endpoint

    @contextmanager
    def _reserved(self, model_id: str, file: Path) -> Iterator[None]:
        """Keeps id and file from being loaded twice at the same time."""
        with self._lock:
            if self._closed:
                raise UnavailableError("the engine is closed")
            self.experiments.require_no_experiment(model_id)
            loaded = {name: model.file for name, model in self._models.items()}
            for name, other in (loaded | self._loading).items():
                if other == file:
                    raise ModelAlreadyLoadedError(
                        f"{file.name} is loaded already, as model {name!r}; use it, reload it, or "
                        "unload it first",
                        model_id=name,
                    )
                if name == model_id:
                    raise ModelAlreadyLoadedError(
                        f"model_id {name!r} is taken by {other.name}; choose another, or unload "
                        "that model first",
                        model_id=name,
                    )
            self._loading[model_id] = file
        try:
            yield
        finally:
            with self._lock:
                del self._loading[model_id]

    def _load_version(
        self,
        model_id: str,
        file: Path,
        options: LoadOptions,
        promise: Promise,
        replaced: Version | None = None,
        tuning: Tuning = UNTUNED,
    ) -> tuple[Version, int]:
        """The file's model, started, and the file's size in bytes; not yet entered anywhere."""
        began = time.monotonic()
        ensemble = read_ensemble(file)
        if ensemble is not None:
            return self._ensembles.load(model_id, file, ensemble, options, promise, replaced)
        prepared = prepared_of(self.settings, file, options, tuning)
        check_ensemble(prepared.manifest, file, options.ensemble_method)
        version = self._start(
            *(model_id, file, prepared, promise, options.instances),
            began=began,
            tuning=tuning,
            replaced=replaced,
        )
        return version, prepared.size_bytes

    def _start(
        self,
        model_id: str,
        file: Path,
        prepared: Prepared,
        promise: Promise,
        instances: int | None,
        *,
        began: float,
        tuning: Tuning = UNTUNED,
        replaced: Version | None = None,
    ) -> Version:
        """A version of that artifact, running and not yet entered anywhere."""
        wanted = tuning.instances or instances
        return started(
            *(self._core, self.settings, model_id, file, prepared),
            instances=self._instances_for(prepared.manifest.backend, wanted, promise, replaced),
            tuning=tuning,
            began=began,
        )

    @contextmanager
    def _promised(self) -> Iterator[Promise]:
        """Counts the instances of a version from the moment it may start them."""
        promise = Promise()
        with self._lock:
            self._promises.append(promise)
        try:
            yield promise
        finally:
            with self._lock:
                self._promises.remove(promise)

    def _instances_for(
        self, backend: str, wanted: int | None, promise: Promise, replaced: Version | None
    ) -> int:
        """What was asked for (or the default), within what ``max_workers`` leaves; at least one.

        Models that load side by side share what is left. A version about to be ``replaced`` leaves
        its instances to its successor.
        """
        default = 1 if backend == "process" else available_cpus()
        with self._lock:
            promise.instances = max(1, min(wanted or default, self._instances_left(replaced)))
            return promise.instances

    def _instances_left(self, replaced: Version | None) -> int:
        used = sum(other.instances for other in self._promises) + sum(
            model.version.core.instances
            for model in self._models.values()
            if model.version is not replaced
        )
        return self.settings.max_workers - used

    def most_instances(self, model: Model) -> int:
        """How many instances a new version of a model may have now, beside all other models."""
        with self._lock:
            return max(1, self._instances_left(model.version))

    def unload(self, model_id: str) -> float | None:
        """Unloads a model; requests it accepted are answered first (10 s at most).

        Returns:
            Resident memory that was freed, in MiB; None when none could be measured.

        Raises:
            ModelNotFoundError: no model of that id is loaded.
            ModelInUseError: an experiment draws from it, or an ensemble shares it.
        """
        with self._lock:
            if model_id in self._models:
                self.experiments.require_not_used(model_id)
                require_unused(self._models.values(), model_id)
            model = self._models.pop(model_id, None)
            self._endpoints.pop(model_id, None)
            if model is not None:
                self._ending.append(model.version)
        if model is None:
            raise self._not_found(model_id)
        before_bytes = resident_bytes()
        self._end(model.version)
        freed_bytes = before_bytes - resident_bytes()
        return round(freed_bytes / (1 << 20), 6) if freed_bytes > 0 else None

    def reload(self, model_id: str) -> Model:
        """Reads the model's file again and swaps the new version in; the id stays.

        The old version answers until the new one is ready, and then what it has accepted.

        Raises: as `load`, and then the old version stays; `ModelNotFoundError` also when the model
            was unloaded meanwhile.
        """
        model = self.model(model_id)
        tuning = model.tuning
        wall = self.settings.model_dir if model.load_options.walled else None
        file = resolve_model_path(str(model.file), wall)

        def load(promise: Promise) -> tuple[Version, int]:
            options = model.load_options
            return self._load_version(model_id, file, options, promise, model.version, tuning)

        with self._beside(model, tuning, load) as beside:
            self.swap(beside, still=lambda: model.tuning is tuning)
        return model

    def prepared(self, model: Model, options: LoadOptions, tuning: Tuning) -> Prepared:
        """The artifact of a loaded model's file, as the file is now. Raises: as `load`."""
        file = resolve_model_path(
            str(model.file), self.settings.model_dir if options.walled else None
        )
        return prepared_of(self.settings, file, options, tuning)

    def beside(
        self, model: Model, prepared: Prepared, tuning: Tuning, began: float | None = None
    ) -> AbstractContextManager[Beside]:
        """Starts another version beside the one that answers; closed in the end, if not swapped in.

        Args:
            model: Whose version it may become.
            prepared: What it runs.
            tuning: How it runs.
            began: When loading began, by the monotonic clock; None: now.
        """

        def load(promise: Promise) -> tuple[Version, int]:
            version = self._start(
                *(model.model_id, model.file, prepared, promise, model.load_options.instances),
                began=time.monotonic() if began is None else began,
                tuning=tuning,
                replaced=model.version,
            )
            return version, prepared.size_bytes

        return self._beside(model, tuning, load)

    @contextmanager
    def _beside(
        self, model: Model, tuning: Tuning, load: Callable[[Promise], tuple[Version, int]]
    ) -> Iterator[Beside]:
        with self._promised() as promise:
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
                    old = self._swap([Fresh(model, beside.version, beside.size_bytes), *users])
                    model.tuning = beside.tuning
                    model.load_options = options or model.load_options
                    beside.is_swapped = True
                    beside.promise.instances = 0  # the model has them now
            except SlipstreamError:
                for _, unused, _ in reversed(users):
                    unused.core.close(0.0)  # nobody would ever close it
                raise
        for ended in reversed(old):  # ensembles before what they are made of
            self._end(ended)

    def _swap(self, fresh: list[Fresh]) -> list[Version]:
        """Lets versions answer from now on, all or none; under the lock. Returns the old ones."""
        for model, _, _ in fresh:
            if self._models.get(model.model_id) is not model:
                raise self._not_found(model.model_id)
        require_users(self._models.values(), fresh)
        ended = []
        for model, version, size_bytes in fresh:
            old = model.replace_version(version, time.time(), size_bytes)
            self._ending.append(old)
            self._open_express(model.model_id, version)
            ended.append(old)
        return ended

    def _end(self, version: Version) -> None:
        """Closes a version that was taken out of service, and keeps what it has counted."""
        version.core.close(self.settings.drain_timeout_s)
        with self._lock:
            self._ending = [other for other in self._ending if other is not version]
            self._ended = totals_of([version], self._ended)
            self._counts.keep(version.core)

    def totals(self) -> Totals:
        """What was answered since the engine was started, by models that are gone too."""
        with self._lock:
            versions = [model.version for model in self._models.values()] + self._ending
            return totals_of(versions, self._ended)

    def observed(self) -> list[Observed]:
        """What each loaded model has counted, by versions that were replaced too."""
        with self._lock:
            serving = [model.version.core for model in self._models.values()]
            return self._counts.observe(serving, [version.core for version in self._ending])

    def get(self, model_id: str | None = None) -> Model | Experiment:
        """The model or the experiment of that id; None: the only model there is.

        Raises:
            ModelNotFoundError: nothing of that id is there.
            AmbiguousModelError: no id was given, and not exactly one model is loaded.
        """
        # Without the lock: reading a dict that others replace items of is atomic under the GIL.
        models = self._models
        if model_id is None:
            loaded = list(models.values())
            if len(loaded) == 1:
                return loaded[0]
            names = sorted(model.model_id for model in loaded)
            raise AmbiguousModelError(
                f"no model_id was given and {len(names)} models are loaded: "
                + (f"name one of {', '.join(names)}" if names else "load one first"),
                available_models=names,
            )
        found = models.get(model_id) or self.experiments.find(model_id)
        if found is None:
            raise self._not_found(model_id)
        return found

    def model(self, model_id: str) -> Model:
        """The model of that id, for what an experiment cannot do.

        Raises:
            ModelNotFoundError: no model of that id is loaded.
        """
        model = self._models.get(model_id)
        if model is None:
            raise self._not_found(model_id)
        return model

    def _not_found(self, model_id: str) -> ModelNotFoundError:
        names = sorted(self._models.copy())
        return ModelNotFoundError(
            f"Model with ID '{model_id}' not found", model_id=model_id, available_models=names
        )

    def predict_route(self, *, is_batch: bool) -> PredictRoute:
        """The short way from a request's body to its answer, for the HTTP layer.

        Args:
            is_batch: Answers are those of POST predict/batch, not of POST predict.
        """
        return PredictRoute(
            self._endpoints,
            default_timeout_ms=self.settings.default_timeout_ms,
            max_batch_rows=self.settings.max_batch_size,
            is_batch=is_batch,
        )

    def models(self) -> list[Model]:
        """What is loaded, in order of loading."""
        with self._lock:
            return list(self._models.values())

    def close(self, drain_timeout_s: float = 10.0) -> None:
        """Stops accepting, lets accepted requests finish that long, ends the rest.

        An execution that has begun is waited for. Idempotent: another call, also from another
        thread, returns when the first is done.
        """
        until = time.monotonic() + drain_timeout_s
        with self._close_lock:  # the completions may end only after the last request did
            with self._lock:
                self._closed = True
                models = sorted(self._models.values(), key=lambda model: not model.members)
                self._models.clear()  # ensembles first, then what they are made of
                self._endpoints.clear()
            for model in models:
                model.version.core.close(max(0.0, until - time.monotonic()))
            self._completions.close()
            self.experiments.shadows.close()


def _id_of(file: Path) -> str:
    """A stable id: the same path gets the same one in every process."""
    return f"model_{hashlib.sha256(os.fsencode(file)).hexdigest()[:10]}"


def _user_cache_dir() -> Path:
    """Where in-process engines keep artifacts (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "slipstream"
