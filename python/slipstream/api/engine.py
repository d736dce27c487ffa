"""The engine: loads model files and keeps what is loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slipstream._version import __version__
from slipstream.api.config import changed, keep_settings
from slipstream.api.ensemble_loading import Ensembles
from slipstream.api.experiment import Experiment
from slipstream.api.experiments import Experiments
from slipstream.api.loading import (
    check_ensemble,
    checked_id,
    prepared_of,
    require_digest,
    user_cache_dir,
)
from slipstream.api.loads import Load, LoadPriority, Loads
from slipstream.api.members import are_current
from slipstream.api.model import LoadOptions, Model
from slipstream.api.placement import checked_tuning
from slipstream.api.plan_check import not_kept_if_refused
from slipstream.api.prediction_cache import PredictionCache
from slipstream.api.promise import Promise
from slipstream.api.registry import Absences, Registry, Remembered, entry_of
from slipstream.api.tuning import UNTUNED, Tuning
from slipstream.api.unloading import Unloading
from slipstream.api.version import Version
from slipstream.engine.completions import ThreadCompletions
from slipstream.engine.runtime import PredictRoute
from slipstream.errors import (
    AmbiguousModelError,
    LoadCancelledError,
    ModelAlreadyLoadedError,
    UnavailableError,
)
from slipstream.models.declared import UNDECLARED, Declared
from slipstream.models.ensembles import EnsembleMethod, describe
from slipstream.models.paths import resolve_model_path
from slipstream.models.sidecar import sidecar_of
from slipstream.settings import Settings, with_changes


class Engine(Unloading):
    """Loads models and answers for them; a context manager. Thread-safe.

    Args:
        settings: Everything the operator decides; None takes the defaults of an in-process engine.
        **changes: Single settings, by name, on top: ``Engine(allow_custom_code=True)``.
    """

    def __init__(self, settings: Settings | None = None, **changes: Any) -> None:
        settings = settings or Settings(
            state_dir=user_cache_dir(), worker_nice=0, model_cache_size=0, memory_limit_mb=0
        )
        self.settings = with_changes(settings, changes)
        """In force now: `configure` replaces it, so nobody may keep a copy of what can change."""
        super().__init__()
        self.version = __version__
        self.started_at = time.time()
        """Seconds since the epoch."""
        self.registry = Registry(self.settings.state_path)
        """What was loaded with ``remember``."""
        self.prediction_cache = PredictionCache(int(self.settings.prediction_cache_mb * (1 << 20)))
        """Answers of the models that remember them."""
        self.absences = Absences(self.settings.model_dir)
        self.loads = Loads(self.settings.max_concurrent_loads)
        """What is on its way into memory because somebody asked for that."""
        self._completions = ThreadCompletions()
        self._loading: dict[str, Path] = {}  # ids and files that are being loaded now
        self._routes: list[PredictRoute] = []
        self.experiments = Experiments(self._models, self._loading, self._lock, aliases=self._names)
        """Names for several models, of which one is drawn for each request."""
        self._ensembles = Ensembles(
            self, lambda: self._core, lambda: self._promised(is_restart=True), self._load_version
        )
        self._config_lock = threading.Lock()
        self._close_lock = threading.Lock()

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
        remember: bool = False,
        pinned: bool = False,
        cache_predictions: bool = False,
        device: str | None = None,
        tuning: Tuning | None = None,
        declared: Declared = UNDECLARED,
        is_extra: bool = False,
        priority: LoadPriority = "normal",
    ) -> Model:
        """Loads a model file; blocks until the model can answer.

        Args:
            path: The file. A pickle is opened in a converter child only.
            model_type: ``"sklearn"``, ``"onnx"``, …, or ``"auto"``: by content.
            model_id: How to call it; None derives an id from path and content.
            compile_model: Convert to a compiled artifact if that can be proven right.
            instances: Parallel executions; None: one per core for compiled models, else one.
            ensemble_method: ``"voting"``, ``"stacking"`` or ``"bagging"``: what the file's ensemble
                must be; None takes any model.
            walled: Refuse files outside ``settings.model_dir``, as the HTTP API does.
            remember: Keep it in the `registry`, from which a server loads it again when it starts.
            pinned: It stays in memory whatever ``model_cache_size`` and ``memory_limit_mb`` say.
            cache_predictions: Remember answers of `Model.start`: those of requests over HTTP.
            device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:0"`` or ``"cuda:0,cuda:1"``; None: as
                ``settings.device`` says.
            tuning: What was chosen for it before, by quantizing or by a search, or is now.
            declared: What else its operator says of it.
            is_extra: It counts neither for ``model_cache_size`` nor for ``max_workers``, and who
                names no model does not mean it.
            priority: Which loads it goes before, where more are asked for than
                ``max_concurrent_loads``.

        Raises:
            ModelNotFoundError: no file there.
            LoadCancelledError: `cancel_load` or `close` ended it.
            ModelAlreadyLoadedError: the same file, or another under this id, is loaded.
            UnsafeModelError: outside the wall, or the file would run code that is not allowed.
            ModelLoadError: no model, another type than was said, damaged.
            MissingDependencyError: a library the model needs is not installed.
            QueueFullError: it does not fit on the GPU that was asked for.
        """
        file = resolve_model_path(str(path), self.settings.model_dir if walled else None)
        model_id = checked_id(model_id, file)
        tuning = checked_tuning(tuning or UNTUNED, device, self.settings.gpu_provider_plugins)
        options = LoadOptions(
            *(model_type, compile_model, instances, walled, ensemble_method, declared)
        )
        with self._turn(Load(model_id, str(path), priority), file) as promise:
            version, size = self._load_version(model_id, file, options, promise, tuning=tuning)
            model = Model(
                *(model_id, str(path), file, version, self._completions, time.time(), size),
                wake=self._wake,
            )
            model.is_extra = is_extra
            model.load_options, model.pinned, model.tuning = options, pinned, tuning
            model.cache, model.cache_predictions = self.prediction_cache, cache_predictions
            self._enter(model, promise, self._entry_of(model) if remember else None)
        self.absences.end(model_id, file)
        self.keep_limits(keep=model_id)
        return model

    def _entry_of(self, model: Model) -> Remembered:
        options = model.load_options
        return entry_of(
            *(model.model_id, model.model_path, model.file, self.settings.model_dir),
            model_type=options.model_type,
            compile_model=options.compile_model,
            ensemble_method=options.ensemble_method,
            cache_predictions=model.cache_predictions,
            tuning=model.tuning,
        )

    def _enter(self, model: Model, promise: Promise, entry: Remembered | None) -> None:
        """From here on it answers, and is remembered if there is an entry for it."""
        try:
            if promise.load is not None:
                promise.load.require_wanted()
            if entry is not None:  # first: whoever is told that it is loaded must find it again
                self.registry.remember(entry)
            with self._lock:
                if self._closed:
                    raise UnavailableError("the engine was closed while the model was loading")
                if not are_current(model.version, self._models):
                    raise UnavailableError(
                        "a model that the ensemble shares was changed while it was loading"
                    )
                model.version.core.set_max_batch_rows(self._batch_rows(model.tuning))
                self._models[model.model_id] = model
                self._publish(model)
                promise.instances = 0  # the model has them now
        except (LoadCancelledError, UnavailableError):
            if entry is not None:
                self.registry.forget(entry.model_id)  # nobody was told that it is loaded
            model.version.core.close(0.0)
            raise

    @contextmanager
    def _turn(self, load: Load, file: Path) -> Iterator[Promise]:
        """A new model's turn to be loaded, with id and file its own."""
        with (
            self._reserved(load.model_id, file),
            self.loads.turn(load),
            self._promised() as promise,
        ):
            promise.load = load
            yield promise

    @contextmanager
    def _reserved(self, model_id: str, file: Path) -> Iterator[None]:
        """Keeps id and file from being loaded twice at the same time."""
        with self._lock:
            if self._closed:
                raise UnavailableError("the engine is closed")
            self.experiments.require_no_experiment(model_id)
            self._names.require_no_alias(model_id)
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
            with self._changed:
                del self._loading[model_id]
                self._changed.notify_all()

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
        ensemble = describe(file)
        if ensemble is not None:
            require_digest(file, options.declared)
            return self._ensembles.load(
                *(model_id, file, ensemble, options, promise, replaced), tuning=tuning
            )
        load = promise.load
        prepared = prepared_of(self.settings, file, options, tuning, load)
        if load is not None:
            load.require_wanted()
            load.tell("starting and warming up")
        check_ensemble(prepared.manifest, file, options.ensemble_method)
        with not_kept_if_refused(prepared):
            version = self._start(
                *(model_id, file, prepared, promise, options.instances),
                began=began,
                sidecar=sidecar_of(file, options.declared),
                tuning=tuning,
                replaced=replaced,
            )
        return version, prepared.size_bytes

    def reload(self, model_id: str) -> Model:
        """Reads the model's file again and swaps the new version in; the id stays.

        The old version answers until the new one is ready, and then what it has accepted.

        Raises: as `load`, and then the old version stays; `ModelNotFoundError` also when the model
            was unloaded meanwhile.
        """
        model = self.model(model_id)
        model_id, tuning = model.model_id, model.tuning
        wall = self.settings.model_dir if model.load_options.walled else None
        file = resolve_model_path(str(model.file), wall)

        options = model.load_options

        def load(promise: Promise) -> tuple[Version, int]:
            promise.load = asked
            return self._load_version(model_id, file, options, promise, model.version, tuning)

        asked = Load(model_id, model.model_path)
        with self.loads.turn(asked), self._beside(model, tuning, load) as beside:
            self.swap(
                beside,
                still=lambda: model.tuning is tuning and model.load_options is options,
            )
        return model

    def get(self, model_id: str | None = None) -> Model | Experiment:
        """The model or the experiment of that id; None: the only model there is.

        Raises:
            ModelNotFoundError: nothing of that id is there.
            AmbiguousModelError: no id was given, and not exactly one model is loaded.
        """
        # Without the lock: reading a dict that others replace items of is atomic under the GIL.
        models = self._models
        if model_id is None:
            loaded = [model for model in list(models.values()) if not model.is_extra]
            if len(loaded) == 1:
                return loaded[0]
            names = sorted(model.model_id for model in loaded)
            raise AmbiguousModelError(
                f"no model_id was given and {len(names)} models are loaded: "
                + (f"name one of {', '.join(names)}" if names else "load one first"),
                available_models=names,
            )
        found = models.get(self._names.target(model_id)) or self.experiments.find(model_id)
        if found is None:
            raise self._not_found(model_id)
        return found

    @property
    def models_on_their_way(self) -> int:
        """How many are being loaded or reloaded now, those that come back into memory included.

        Those that wait for their turn are not.
        """
        at_work = sum(load.state == "loading" for load in self.loads.all())
        return at_work + sum(model.is_returning for model in self.models())

    def predict_route(self, *, is_batch: bool) -> PredictRoute:
        """The short way from a request's body to its answer, for the HTTP layer.

        Args:
            is_batch: Answers are those of POST predict/batch, not of POST predict.
        """
        route = PredictRoute(
            self._names.endpoints,
            default_timeout_ms=self.settings.default_timeout_ms,
            max_batch_rows=self.settings.max_batch_size,
            is_batch=is_batch,
        )
        self._routes.append(route)
        return route

    def configure(
        self, changes: Mapping[str, object], apply: Callable[[Settings], None] | None = None
    ) -> Settings:
        """Changes settings of `slipstream.api.config.LIVE_SETTINGS`; all of them, or none.

        Args:
            changes: By name, as JSON has them.
            apply: Called with the new settings when they come into force, for what stands on this
                engine. It must not fail.

        Returns:
            All settings that are in force now.

        Raises:
            InvalidInputError: one is not known, or does not fit.
            UnavailableError: they cannot be kept for the next start.
        """
        with self._config_lock:
            settings = changed(self.settings, changes)
            if changes:
                keep_settings(settings.state_path, changes)
            with self._lock:  # a version that is entered after this has them already
                self.settings = settings
                for model in self._models.values():
                    model.version.core.set_max_batch_rows(self._batch_rows(model.tuning))
            for route in self._routes:
                route.set_max_batch_rows(settings.max_batch_size)
            if apply is not None:
                apply(settings)
        self.keep_limits()
        return settings

    def close(self, drain_timeout_s: float = 10.0) -> None:
        """Stops accepting, lets accepted requests finish that long, ends the rest.

        An execution that has begun in this process is waited for; one in a worker process is ended
        with it. Idempotent: another call, also from another thread, returns when the first is done.
        """
        until = time.monotonic() + drain_timeout_s
        self.loads.close()
        with self._close_lock:  # the completions may end only after the last request did
            with self._lock:
                self._closed = True
                models = sorted(self._models.values(), key=lambda model: not model.members)
                self._models.clear()  # ensembles first, then what they are made of
                self._names.endpoints.clear()
            self._stop_returning(models)
            for model in models:
                version = model.rest()
                version.core.close(max(0.0, until - time.monotonic()))
                model.settle(version)
            self._endings.wait()
            self._completions.close()
            self.experiments.shadows.close()
