"""The models that ``models.json`` lists, in an engine: loaded at the start, changed on demand.

A change is made entry by entry, and each takes hold by itself: one that fails is logged, shows in
health if it is not served at all, and is tried again the next time, because what is compared with
the file is what is in force, not what was read last.

Threads: `reread` on any, one at a time; everything else on any.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from slipstream.api.model import LoadOptions, Model
from slipstream.api.placement import checked_tuning
from slipstream.api.tuning import GPU_WORDS, UNTUNED, Tuning
from slipstream.errors import SlipstreamError
from slipstream.models.catalog import Catalog, ModelEntry
from slipstream.models.catalog_changes import Changed, changes, differing
from slipstream.models.catalog_file import read_catalog
from slipstream.models.ensembles import read_ensemble
from slipstream.models.paths import resolve_model_path

if TYPE_CHECKING:
    from slipstream.api.engine import Engine

_log = logging.getLogger("slipstream.models")


def tuning_of(entry: ModelEntry) -> Tuning:
    """How an entry's model runs, as far as that is not a load option."""
    tuning = Tuning(
        max_batch_rows=entry.max_batch_size,
        device=entry.device,
        **{key: getattr(entry, key) for key in GPU_WORDS},
    )
    return UNTUNED if tuning == UNTUNED else checked_tuning(tuning)


def instances_of(entry: ModelEntry) -> int | None:
    """How many instances a model begins with; None for the default."""
    if entry.instances is None and entry.max_instances is not None:
        return entry.min_instances or 1  # the load will show whether it needs more
    return entry.instances


def options_of(entry: ModelEntry) -> LoadOptions:
    """How an entry's model is loaded."""
    return LoadOptions(
        entry.model_type,
        entry.compile_model,
        instances_of(entry),
        walled=True,
        ensemble_method=entry.ensemble_method,
        declared=entry.declared(),
    )


def load_entry(engine: Engine, entry: ModelEntry) -> Model:
    """Loads what an entry names. Raises: as `Engine.load`."""
    return engine.load(
        entry.model_path,
        entry.model_type,
        model_id=entry.model_id,
        compile_model=entry.compile_model,
        instances=instances_of(entry),
        ensemble_method=entry.ensemble_method,
        walled=True,
        pinned=entry.pinned,
        cache_predictions=entry.cache_predictions,
        tuning=tuning_of(entry),
        declared=entry.declared(),
        priority="low",  # whoever asks for one now is waiting for it
    )


def is_ensemble(path: str, model_dir: Path) -> bool:
    """Whether a path leads to an ensemble file, which may share models that must be there first."""
    try:
        return read_ensemble(resolve_model_path(path, model_dir)) is not None
    except SlipstreamError:  # which the load will say
        return False


class Listed:
    """The list in force.

    Args:
        engine: Where its models are, or will be.
        catalog: As the file is at the start.
        overridden: Ids that the command line gives to models of its own: theirs are not the list's.
    """

    def __init__(
        self, engine: Engine, catalog: Catalog, overridden: Collection[str] = frozenset()
    ) -> None:
        self._engine = engine
        self._overridden = frozenset(overridden)
        self._changing = threading.Lock()
        self._aliases: dict[str, str] = {}
        self.catalog = catalog
        """As the file was when it was read last."""
        self._in_force: dict[str, ModelEntry] = {}  # by name; replaced, never changed

    @property
    def is_changing(self) -> bool:
        """Whether `reread` is at work."""
        return self._changing.locked()

    def settle(self) -> None:
        """Takes note of what was loaded at the start, and puts the aliases in force."""
        with self._changing:
            own = self._own(self.catalog)
            self._in_force = {
                entry.name: entry
                for entry, model in zip(own, self.models_of(own), strict=True)
                if model is not None
            }
            self._set_aliases(own)

    def model_of(self, entry: ModelEntry) -> Model | None:
        """The model that an entry stands for; None while there is none."""
        return self.models_of((entry,))[0]

    def models_of(self, entries: Iterable[ModelEntry]) -> list[Model | None]:
        """The same for each of several."""
        models = self._engine.models()
        by_id = {model.model_id: model for model in models}
        by_file = {model.file: model for model in models}
        model_dir = self._engine.settings.model_dir
        return [_found(entry, by_id, by_file, model_dir) for entry in entries]

    def reread(self) -> None:
        """Reads the file again and makes the changes; blocks until they are made.

        Raises:
            CatalogError: the file is not valid, and nothing was changed.
        """
        with self._changing:
            catalog = read_catalog(self._engine.settings.model_dir)
            wanted = Catalog(models=tuple(self._own(catalog)))
            found = changes(Catalog(models=tuple(self._in_force.values())), wanted)
            self._forget_missed(wanted)
            names = {alias for entry in wanted.models for alias in entry.aliases}
            self._replace({a: to for a, to in self._aliases.items() if a in names})
            for entry in found.unload_first:
                self._try(entry, "unloaded", partial(self._unload, entry))
            self._load_all(found.load)
            for changed in found.reload:
                self._try(changed.new, "reloaded", partial(self._redefine, changed))
            for changed in found.adjust:
                self._try(changed.new, "changed", partial(self._adjust, changed))
            self._set_aliases(wanted.models)
            for entry in found.unload:
                self._try(entry, "unloaded", partial(self._unload, entry))
            self.catalog = catalog
            if not found:
                _log.info("models.json: nothing has changed")

    def _own(self, catalog: Catalog) -> list[ModelEntry]:
        """What is to be served, without what the command line has put in its place."""
        return [one for one in catalog.enabled if one.model_id not in self._overridden]

    def _try(self, entry: ModelEntry, what: str, step: Callable[[], ModelEntry | None]) -> bool:
        """One change; what fails is logged, and nothing else fails with it."""
        try:
            now = step()
        except SlipstreamError as error:
            _log.error("models.json: %s was not %s: %s", entry.name, what, error.message)
            return False
        others = {name: one for name, one in self._in_force.items() if name != entry.name}
        self._in_force = others if now is None else {**others, now.name: now}
        _log.info("models.json: %s was %s", entry.name, what)
        return True

    def _load_all(self, entries: Iterable[ModelEntry]) -> None:
        model_dir = self._engine.settings.model_dir
        at_once = self._engine.settings.max_concurrent_loads
        with_members = [one for one in entries if is_ensemble(one.model_path, model_dir)]
        alone = [one for one in entries if one not in with_members]
        with ThreadPoolExecutor(at_once, "slipstream-listed") as pool:
            for together in (alone, with_members):
                failures = list(pool.map(self._failure_of_load, together))
                for entry, failure in zip(together, failures, strict=True):
                    self._try(entry, "loaded", partial(_judged, entry, failure))

    def _failure_of_load(self, entry: ModelEntry) -> SlipstreamError | None:
        model = self.model_of(entry)
        try:
            if model is None:
                load_entry(self._engine, entry)
            else:  # it was loaded over HTTP, and belongs to the list from now on
                self._redefine_as(model, entry, tuning_of(entry))
        except SlipstreamError as error:
            absences = self._engine.absences
            absences.give_up(entry.model_id, entry.model_path)  # as it was noted before
            absences.note(entry.model_id, entry.model_path, error.message)
            return error
        return None

    def _redefine(self, changed: Changed) -> ModelEntry:
        model, new = self.model_of(changed.old), changed.new
        if model is None:
            load_entry(self._engine, new)  # it was unloaded over HTTP, and is wanted again
        else:
            self._redefine_as(model, new, self._tuning(changed, model))
        return new

    def _redefine_as(self, model: Model, entry: ModelEntry, tuning: Tuning) -> None:
        self._engine.redefine(
            *(model.model_id, entry.model_path, options_of(entry)),
            tuning=tuning,
            pinned=entry.pinned,
            cache_predictions=entry.cache_predictions,
        )

    def _adjust(self, changed: Changed) -> ModelEntry:
        model, new = self.model_of(changed.old), changed.new
        if model is None:
            load_entry(self._engine, new)  # it was unloaded over HTTP, and is wanted again
            return new
        self._engine.adjust(
            model.model_id,
            new.declared(),
            tuning=self._tuning(changed, model),
            pinned=new.pinned,
            cache_predictions=new.cache_predictions,
        )
        return new

    def _tuning(self, changed: Changed, model: Model) -> Tuning:
        """What was chosen for a model since stays, unless that is what has been changed."""
        now, differs = tuning_of(changed.new), differing(changed.old, changed.new)
        wanted = {name: getattr(now, name) for key, name in _TUNED.items() if key in differs}
        return msgspec.structs.replace(model.tuning, **wanted) if wanted else model.tuning

    def _unload(self, entry: ModelEntry) -> None:
        model = self.model_of(entry)
        if model is not None:
            self._engine.unload(model.model_id)

    def _forget_missed(self, wanted: Catalog) -> None:
        """Nobody wants any more what was listed and could not be loaded."""
        for entry in self._own(self.catalog):
            if entry not in wanted.models and entry.name not in self._in_force:
                self._engine.absences.give_up(entry.model_id, entry.model_path)

    def _set_aliases(self, entries: Sequence[ModelEntry]) -> None:
        """Those of models that are there; one whose new model is not stays where it is."""
        targets: dict[str, str] = {}
        for entry, model in zip(entries, self.models_of(entries), strict=True):
            for alias in entry.aliases:
                if model is not None:
                    targets[alias] = model.model_id
                elif alias in self._aliases:
                    targets[alias] = self._aliases[alias]
        self._replace(targets)

    def _replace(self, targets: dict[str, str]) -> None:
        for alias, reason in self._engine.set_aliases(targets).items():
            _log.error("models.json: alias %r is not in force: %s", alias, reason)
        self._aliases = targets


_TUNED = {
    "max_batch_size": "max_batch_rows",
    "device": "device",
    **{key: key for key in GPU_WORDS},
}
"""Keys of an entry that are part of a model's tuning, and what they are called there."""


def _found(
    entry: ModelEntry,
    by_id: Mapping[str, Model],
    by_file: Mapping[Path, Model],
    model_dir: Path,
) -> Model | None:
    if entry.model_id is not None:
        return by_id.get(entry.model_id)
    try:
        return by_file.get(resolve_model_path(entry.model_path, model_dir))
    except SlipstreamError:
        return None


def _judged(entry: ModelEntry, failure: SlipstreamError | None) -> ModelEntry:
    if failure is not None:
        raise failure
    return entry
