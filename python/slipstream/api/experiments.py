"""All experiments of an engine: made, changed, ended, kept over restarts.

Threads: reading on any, without a lock; changes on any, one at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Container, Mapping
from pathlib import Path

from slipstream.api.definition import (
    Definition,
    definition_of,
    require_experiment_id,
    require_valid,
)
from slipstream.api.experiment import Experiment
from slipstream.api.experiments_file import Kept, read_experiments, write_experiments
from slipstream.api.model import Model
from slipstream.api.shadows import Shadows
from slipstream.errors import (
    ExperimentNotFoundError,
    InvalidInputError,
    ModelAlreadyLoadedError,
    ModelInUseError,
    ModelNotFoundError,
    UnavailableError,
)

MOST_EXPERIMENTS = 64


class Experiments:
    """Experiments by id. `Engine.experiments` is one.

    Args:
        models: What is loaded; changes under ``lock``, and is looked at without.
        loading: Ids of what is being loaded; likewise.
        aliases: Other names of models; likewise.
        lock: Held while ids are compared with those of models.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        loading: Container[str],
        lock: threading.Lock,
        aliases: Container[str] = (),
    ) -> None:
        self._models = models
        self._loading = loading
        self._aliases = aliases
        self._lock = lock
        self._changing = threading.Lock()  # one change at a time, its file included
        self._by_id: dict[str, Experiment] = {}  # in order of creation
        self._file: Path | None = None
        self.shadows = Shadows()

    def find(self, experiment_id: str) -> Experiment | None:
        """The experiment of that id, if there is one."""
        return self._by_id.get(experiment_id)

    def get(self, experiment_id: str) -> Experiment:
        """The experiment of that id.

        Raises:
            ExperimentNotFoundError: there is none.
        """
        found = self.find(experiment_id)
        if found is None:
            raise self._not_found(experiment_id)
        return found

    def all(self) -> list[Experiment]:
        """In order of creation."""
        return list(self._by_id.copy().values())

    def set(
        self,
        experiment_id: str,
        variants: Mapping[str, float],
        shadows: Mapping[str, float] | None = None,
    ) -> Experiment:
        """Creates an experiment, or replaces what it draws from, at once.

        Args:
            experiment_id: What requests call it.
            variants: Weights by the ids of loaded models, at least 0, with a sum above 0.
            shadows: Shares of the requests, above 0 and at most 1, by the ids of loaded models.

        Raises: as `put`.
        """
        return self.put(experiment_id, definition_of(variants, shadows))[0]

    def put(self, experiment_id: str, definition: Definition) -> tuple[Experiment, bool]:
        """The same, of a definition; and whether the experiment is new.

        Raises:
            InvalidInputError: the id or the definition is not valid, or names an experiment, or
                there are as many experiments as there may be.
            ModelNotFoundError: a member is not loaded.
            ModelAlreadyLoadedError: the id is that of a model.
            UnavailableError: it could not be written down; nothing has changed.
        """
        require_experiment_id(experiment_id)
        require_valid(definition)
        now = time.time()
        with self._changing:
            with self._lock:
                self._require_members(definition)
                existing = self._by_id.get(experiment_id)
                if existing is None:
                    self._require_free(experiment_id)
                    experiment = self._made(experiment_id, Kept(definition, now, now))
                    self._by_id[experiment_id] = experiment
                else:
                    experiment, before = existing, existing.plan
                    changed_before = existing.changed_at
                    existing.replace(definition, now)
            try:
                self._write()
            except UnavailableError:
                with self._lock:
                    if existing is None:
                        del self._by_id[experiment_id]
                    else:
                        existing.restore(before, changed_before)
                raise
            return experiment, existing is None

    def end(self, experiment_id: str) -> None:
        """Takes an experiment away; requests in progress end where they are.

        Raises:
            ExperimentNotFoundError: there is none of that id.
            UnavailableError: it could not be written down; nothing has changed.
        """
        with self._changing:
            with self._lock:
                before = self._by_id.copy()
                if self._by_id.pop(experiment_id, None) is None:
                    raise self._not_found(experiment_id)
            try:
                self._write()
            except UnavailableError:
                with self._lock:  # in its place among the others
                    self._by_id.clear()
                    self._by_id.update(before)
                raise

    def keep_in(self, file: Path) -> str | None:
        """Takes up the experiments that were kept there, and keeps changes from now on.

        Their members need not be loaded (yet); what was counted is not kept.

        Returns:
            Why the file could not be read, where it could not: it is set aside, and the log says
            so.
        """
        with self._changing:
            kept, damage = read_experiments(file)
            with self._lock:
                for experiment_id, one in kept.items():
                    self._by_id[experiment_id] = self._made(experiment_id, one)
            self._file = file
            return damage

    def require_not_used(self, model_id: str) -> None:
        """Refuses to let a member go. The caller holds the lock.

        Raises:
            ModelInUseError: names an experiment that draws from it.
        """
        for experiment in self._by_id.values():
            if model_id in experiment.definition.members:
                raise ModelInUseError(
                    f"model '{model_id}' is used by experiment '{experiment.model_id}'; take it "
                    "out of the experiment, or end that, first",
                    model_id=model_id,
                    experiment_id=experiment.model_id,
                )

    def require_no_experiment(self, model_id: str) -> None:
        """Refuses an id for a model that an experiment has. The caller holds the lock.

        Raises:
            ModelAlreadyLoadedError: names it.
        """
        if model_id in self._by_id:
            raise ModelAlreadyLoadedError(
                f"model_id {model_id!r} is taken by an experiment; choose another, or end that "
                "experiment first",
                experiment_id=model_id,
            )

    def _require_members(self, definition: Definition) -> None:
        for name in definition.members:
            if name in self._by_id:
                raise InvalidInputError(
                    f"'{name}' is an experiment; an experiment takes models", key="model_id"
                )
            if name not in self._models:
                raise ModelNotFoundError(
                    f"Model with ID '{name}' not found",
                    model_id=name,
                    available_models=sorted(self._models),
                )

    def _require_free(self, experiment_id: str) -> None:
        others = (self._models, self._loading, self._aliases)
        if any(experiment_id in names for names in others):
            raise ModelAlreadyLoadedError(
                f"experiment_id {experiment_id!r} is taken by a model; choose another",
                model_id=experiment_id,
            )
        if len(self._by_id) >= MOST_EXPERIMENTS:
            raise InvalidInputError(
                f"there are {MOST_EXPERIMENTS} experiments already, as many as there may be; end "
                "one first",
                key="experiment_id",
            )

    def _made(self, experiment_id: str, kept: Kept) -> Experiment:
        return Experiment(
            experiment_id,
            kept.definition,
            self._models,
            self.shadows,
            created_at=kept.created_at,
            changed_at=kept.changed_at,
        )

    def _write(self) -> None:
        if self._file is not None:
            write_experiments(
                self._file,
                {
                    name: Kept(one.definition, one.created_at, one.changed_at)
                    for name, one in self._by_id.items()
                },
            )

    def _not_found(self, experiment_id: str) -> ExperimentNotFoundError:
        return ExperimentNotFoundError(
            f"There is no experiment '{experiment_id}'",
            experiment_id=experiment_id,
            available_experiments=sorted(self._by_id.copy()),
        )
