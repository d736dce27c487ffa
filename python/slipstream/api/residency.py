"""Which models are in memory: the part of an engine that has models rest and brings them back.

At most ``model_cache_size`` models are in memory, and at most ``memory_limit_mb`` of memory is
used, as far as that takes a model: the one that was used least recently rests first. Its version is
closed like at an unload, so whatever it has accepted is answered; its artifact stays on disk, and
its next request has it loaded again, once, however many wait.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipstream.api.counts import ColdStarts, CountKeeper, Observed
from slipstream.api.endings import Endings
from slipstream.api.loading import started
from slipstream.api.members import are_current, users_of
from slipstream.api.memory import give_back_freed, resident_bytes
from slipstream.api.names import Names
from slipstream.api.placement import Placement, place
from slipstream.api.placing import start_placed
from slipstream.api.promise import Promise
from slipstream.api.resting import RestingCore
from slipstream.api.tuning import UNTUNED, Tuning
from slipstream.api.version import Totals, Version, totals_of
from slipstream.api.warmup import BUDGET_S
from slipstream.engine.runtime import CoreLatencies, available_cpus, start_core
from slipstream.errors import UnavailableError
from slipstream.models.artifacts import is_damaged
from slipstream.models.prepare import Prepared
from slipstream.models.sidecar import Sidecar
from slipstream.own_threads import call_thread
from slipstream.settings import Settings

if TYPE_CHECKING:
    from slipstream.api.model import LoadOptions, Model

_log = logging.getLogger("slipstream.engine")
_MIB = 1024 * 1024
MAX_IN_FLIGHT = 8192
"""Requests in the core at a time."""
_RETURNS_AT_ONCE = 2


class Residency(ABC):
    """What `Engine` knows of its models, and which of them are in memory. Thread-safe."""

    settings: Settings

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # of _promises and _is_restarting
        self._is_restarting = False
        self._models: dict[str, Model] = {}  # by id, in order of loading
        self._names = Names()
        self._ending: list[Version] = []  # out of service, and still answering what they accepted
        self._endings = Endings()
        self._ended = Totals(0, 0, 0, CoreLatencies())  # of those that have
        self._counts = CountKeeper()  # the same by model
        self._closed = False
        self._core = start_core(MAX_IN_FLIGHT)
        self._promises: list[Promise] = []  # to versions that are being started now
        self._returner = ThreadPoolExecutor(
            _RETURNS_AT_ONCE, "slipstream-return", call_thread, ("return",)
        )
        self._kept: Counter[str] = Counter()  # models that must stay for now, and how often
        self._evicting = threading.Lock()
        self._memory_is_over = False

    @property
    def memory_is_over(self) -> bool:
        """Whether more than the limit was used, and no model could rest, when last looked at."""
        return self._memory_is_over

    def resident_bytes(self) -> int:
        """Memory in use by this process, and by workers where models have them."""
        versions = [model.version for model in self.models() if not model.is_resting]
        return resident_bytes(with_children=any(one.worker_artifacts for one in versions))

    def models(self) -> list[Model]:
        """All of them, in order of loading, those that rest included."""
        with self._lock:
            return list(self._models.values())

    def _publish(self, model: Model) -> None:
        """Lets the short way answer for it. With the lock."""
        endpoint = model.version.endpoint
        if endpoint is None or model.caches:  # which the short way knows nothing of
            self._names.drop(model.model_id)
        else:
            endpoint.set_default_timeout_ms(model.timeout_ms or 0.0)
            self._names.put(model.model_id, endpoint)

    def _end(self, version: Version) -> None:
        """Closes a version that was taken out of service, and keeps what it has counted."""

        def keep_counts() -> None:
            with self._lock:
                self._ending = [other for other in self._ending if other is not version]
                self._ended = totals_of([version], self._ended)
                if not isinstance(version.core, RestingCore):
                    self._counts.keep(version.core)

        self._endings.close(version, self.settings.drain_timeout_s, keep_counts)

    def totals(self) -> Totals:
        """What was answered since the engine was started, by models that are gone too."""
        with self._lock:
            versions = [model.version for model in self._models.values()] + self._ending
            return totals_of(versions, self._ended)

    def observed(self) -> list[Observed]:
        """What each model has counted, by versions that were replaced or rested too."""
        with self._lock:
            serving = [(model.model_id, model.version.core) for model in self._models.values()]
            ending = [version.core for version in self._ending]
            return self._counts.observe(
                [(name, None if isinstance(core, RestingCore) else core) for name, core in serving],
                [core for core in ending if not isinstance(core, RestingCore)],
            )

    def cold_starts(self) -> ColdStarts:
        """Of all models, since the engine was started."""
        with self._lock:
            return self._counts.cold_starts

    @property
    def is_restarting(self) -> bool:
        """Whether the core is being built anew."""
        return self._is_restarting

    def evict(self, model: Model) -> bool:
        """Has a model rest; blocks until it has answered what it accepted. False: it did."""
        if not self._set_aside(model, is_eviction=True):
            return False
        _log.info("model '%s' was evicted: it comes back with its next request", model.model_id)
        return True

    def _set_aside(self, model: Model, *, is_eviction: bool = False) -> bool:
        with self._lock:
            if self._models.get(model.model_id) is not model or model.is_resting:
                return False
            if is_eviction and self._must_stay(model.model_id):  # since it was chosen
                return False
            old = model.rest()
            self._names.drop(model.model_id)
            self._ending.append(old)
        self._end(old)
        model.settle(old)
        return True

    def keep_limits(self, keep: str | None = None, coming: int = 0) -> None:
        """Has models rest until the limits are kept, or nothing is left that may.

        Args:
            keep: A model that stays, because somebody waits for it.
            coming: How many are about to come into memory.
        """
        with self._evicting:
            self._keep_count(keep, coming)
            self._keep_memory(keep)

    def _keep_count(self, keep: str | None, coming: int) -> None:
        most = self.settings.model_cache_size
        while most:
            present = [one for one in self.models() if not (one.is_resting or one.is_extra)]
            surplus = len(present) + coming - most
            victim = self._victim(present, keep) if surplus > 0 else None
            if victim is None:
                return
            self.evict(victim)

    def _keep_memory(self, keep: str | None) -> None:
        while True:
            limit_mb = self.settings.memory_limit_mb
            is_over = limit_mb > 0 and self.resident_bytes() > limit_mb * _MIB
            if not is_over:
                self._memory_is_over = False
                return
            idle = [model for model in self.models() if not (model.is_resting or model.is_busy)]
            victim = self._victim(idle, keep)
            if victim is None:
                self._memory_is_over = True
                return
            self.evict(victim)
            del idle, victim  # nothing may hold on to what is to be freed
            give_back_freed()

    def _victim(self, models: list[Model], keep: str | None) -> Model | None:
        """The one used least recently; one that is busy only where all are.

        Ensembles stay, and so do the models that they share: they are made of versions in memory.
        """
        with self._lock:
            free = [
                model
                for model in models
                if not (model.pinned or model.members)
                and model.model_id != keep
                and not self._must_stay(model.model_id)
            ]
        return max(free, key=lambda model: (not model.is_busy, model.idle_s), default=None)

    def _must_stay(self, model_id: str) -> bool:
        """Whether an ensemble has it, or is being made, or it is being measured. With the lock."""
        is_being_shared = any(model_id in promise.shares for promise in self._promises)
        is_shared = bool(users_of(self._models.values(), model_id))
        return is_shared or is_being_shared or self._kept[model_id] > 0

    def _wake(self, model: Model) -> None:
        """Somebody waits for a model that rests: it is brought back, by one thread."""
        with self._lock:
            if model.is_returning or self._closed:
                return
            model.is_returning = True
            self._returner.submit(self._return, model, time.monotonic())

    def _return(self, model: Model, asked_s: float) -> None:
        failure: Exception | None = None
        try:
            self._bring_back(model)
        except Exception as error:  # whatever it is, those who wait must hear of it
            failure = error
        model.is_returning = False  # before they do: who comes now starts anew
        if failure is None and model.is_awaited:  # it rests again, and nobody was woken meanwhile
            self._wake(model)
        if failure is not None:
            _log.error("model '%s' could not be loaded again", model.model_id, exc_info=failure)
            model.not_back(failure)
            return
        took_s = time.monotonic() - asked_s
        with self._lock:
            self._counts.note_cold_start(model.model_id, took_s)
        _log.info("model '%s' is back after %.2f s", model.model_id, took_s)
        self.keep_limits(keep=model.model_id)

    def _bring_back(self, model: Model, *, is_restart: bool = False) -> None:
        """Loads a model that rests from the artifact that it had; nothing where it does not."""
        with self._promised(is_restart=is_restart) as promise:
            began, rested = time.monotonic(), model.version
            if not model.is_resting:
                return
            prepared = Prepared(
                manifest=rested.manifest, folder=rested.folder, size_bytes=model.model_size_bytes
            )
            options, tuning = model.load_options, model.tuning
            if rested.members or is_damaged(prepared.folder, prepared.manifest):
                version, _ = self._load_version(
                    model.model_id, model.file, options, promise, tuning=tuning
                )
            else:
                version = self._start(
                    *(model.model_id, model.file, prepared, promise, options.instances),
                    began=began,
                    tuning=tuning,
                    sidecar=rested.sidecar,
                    warmup_s=0.0,  # somebody waits
                    fallback=rested.placement if rested.placement.reason else None,
                )
            with self._lock:
                is_wanted = (
                    self._models.get(model.model_id) is model
                    and model.version is rested
                    and not self._closed
                )
                is_stale = is_wanted and not are_current(version, self._models)
                is_wanted = is_wanted and not is_stale
                if is_wanted:
                    version.core.set_max_batch_rows(self._batch_rows(tuning))
                    model.bring_back(version)
                    self._publish(model)
                    promise.instances = 0  # the model has them now
        if is_wanted:
            model.let_in()
            return
        version.core.close(0.0)  # it was unloaded or reloaded meanwhile
        if is_stale:
            raise UnavailableError("a member was changed while the ensemble came back")

    @contextmanager
    def kept_in_memory(self, model: Model) -> Iterator[Version]:
        """Keeps eviction from a model, which is brought back first where it rests."""
        with self._lock:
            self._kept[model.model_id] += 1
        try:
            yield self.brought_back(model)
        finally:
            with self._lock:
                self._kept[model.model_id] -= 1
                self._kept += Counter()  # what is at 0 goes

    def brought_back(self, model: Model) -> Version:
        """The same for whoever is not loading anything himself."""
        with self._promised():
            return self.resident_version(model)

    def resident_version(self, model: Model) -> Version:
        """The version of a model in memory, brought back where it rests; blocks.

        For whoever has promised a version of his own, which a restart waits for.

        Raises:
            UnavailableError: it rests again already.
        """
        if model.is_resting:
            self._bring_back(model, is_restart=True)
        version = model.version
        if isinstance(version.core, RestingCore):
            raise UnavailableError(f"model '{model.model_id}' was evicted just now; try again")
        return version

    def _batch_rows(self, tuning: Tuning) -> int:
        """The most rows that one execution of a model takes."""
        return tuning.max_batch_rows or self.settings.max_batch_size

    @abstractmethod
    def _load_version(
        self,
        model_id: str,
        file: Path,
        options: LoadOptions,
        promise: Promise,
        replaced: Version | None = None,
        tuning: Tuning = UNTUNED,
    ) -> tuple[Version, int]:
        """`Engine` prepares and starts what a file holds."""

    def _start(
        self,
        model_id: str,
        file: Path,
        prepared: Prepared,
        promise: Promise,
        instances: int | None,
        *,
        began: float,
        sidecar: Sidecar,
        tuning: Tuning = UNTUNED,
        replaced: Version | None = None,
        warmup_s: float = BUDGET_S,
        fallback: Placement | None = None,
    ) -> Version:
        """A version of that artifact, running, warm, and not yet entered anywhere.

        ``fallback`` is where it came to be because a GPU did not take it: there is no second try.
        """
        manifest, wanted = prepared.manifest, tuning.instances or instances
        placement = fallback or place(manifest, file.name, tuning, self.settings.device)
        self.keep_limits(keep=model_id, coming=0 if replaced else 1)

        def start(there: Placement) -> Version:
            default = len(there.devices) or (1 if manifest.backend == "process" else None)
            return started(
                *(self._core, self.settings, model_id, file, prepared),
                instances=self._instances_for(wanted or default, promise, replaced),
                tuning=tuning,
                began=began,
                sidecar=sidecar,
                warmup_s=warmup_s,
                placement=there,
            )

        return start_placed(
            *(placement, prepared, file.name),
            start=start,
            make_room=lambda there: self._make_room(there, keep=model_id),
        )

    def _make_room(self, placement: Placement, keep: str) -> bool:
        """Has the idle model on these GPUs rest that was used least recently; False: none may."""
        with self._evicting:
            tried: set[str] = set()
            while True:
                idle = [
                    model
                    for model in self.models()
                    if set(model.placement.devices).intersection(placement.devices)
                    and not (model.is_resting or model.is_busy or model.model_id in tried)
                ]
                victim = self._victim(idle, keep)
                if victim is None or self.evict(victim):
                    return victim is not None
                tried.add(victim.model_id)  # it is being unloaded, or shared, since it was chosen

    @contextmanager
    def _promised(self, *, is_restart: bool = False) -> Iterator[Promise]:
        """Counts the instances of a version from the moment it may start them.

        Waits for the end of a restart, unless it belongs to it.
        """
        promise = Promise()
        with self._changed:
            self._changed.wait_for(lambda: is_restart or not self._is_restarting)
            self._promises.append(promise)
        try:
            yield promise
        finally:
            with self._changed:
                self._promises.remove(promise)
                self._changed.notify_all()

    def _instances_for(self, wanted: int | None, promise: Promise, replaced: Version | None) -> int:
        """As many as are wanted (None: one per core), within what ``max_workers`` leaves.

        At least one.

        Models that load side by side share what is left. A version about to be ``replaced`` leaves
        its instances to its successor.
        """
        wanted = wanted or available_cpus()
        with self._lock:
            promise.instances = max(1, min(wanted, self._instances_left(replaced)))
            return promise.instances

    def _instances_left(self, replaced: Version | None) -> int:
        used = sum(other.instances for other in self._promises) + sum(
            model.version.core.instances
            for model in self._models.values()
            if model.version is not replaced and not model.is_extra
        )
        return self.settings.max_workers - used

    def most_instances(self, model: Model) -> int:
        """How many instances a new version of a model may have now, beside all other models."""
        with self._lock:
            return max(1, self._instances_left(model.version))

    def _stop_returning(self, models: list[Model]) -> None:
        """For `Engine.close`: nobody comes back any more."""
        self._returner.shutdown(wait=False, cancel_futures=True)
        for model in models:
            model.end(UnavailableError("the engine is closed"))
