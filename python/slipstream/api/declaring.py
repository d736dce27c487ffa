"""The part of an engine that a changed ``models.json`` drives: other names, other declarations."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

from slipstream.api.changing import Changing
from slipstream.api.experiments import Experiments
from slipstream.api.model import LoadOptions, Model
from slipstream.api.promise import Promise
from slipstream.api.tuning import Tuning
from slipstream.api.version import Version
from slipstream.errors import ModelAlreadyLoadedError
from slipstream.models.declared import Declared
from slipstream.models.paths import resolve_model_path


class Declaring(Changing):
    """Declarations of models that are loaded."""

    experiments: Experiments
    _loading: dict[str, Path]

    def aliases_of(self, model_id: str) -> list[str]:
        """The other names of a model."""
        return self._names.aliases_of(model_id)

    def set_aliases(self, targets: Mapping[str, str]) -> dict[str, str]:
        """Other names of models, in the place of those there are, all at once.

        Args:
            targets: Ids by alias. A model of that id may be loaded later.

        Returns:
            Aliases that are not in force because something else is called so, and why.
        """
        with self._lock:
            ids = ChainMap(dict.fromkeys(self._models), dict.fromkeys(self._loading))
            taken = {*ids, *(one.model_id for one in self.experiments.all())}
            return self._names.replace(targets, taken)

    def adjust(
        self,
        model_id: str,
        declared: Declared,
        *,
        tuning: Tuning,
        pinned: bool,
        cache_predictions: bool,
    ) -> Model:
        """Declares otherwise what the version that answers can be told.

        What takes another version (rows to warm up on, states, a digest) holds from the next
        reload on.

        Raises:
            ModelNotFoundError: no model of that id is loaded.
        """
        model = self.model(model_id)
        with self._lock:
            model.load_options = model.load_options._replace(declared=declared)
            model.tuning, model.pinned = tuning, pinned
            model.cache_predictions = cache_predictions
            model.version.core.set_max_batch_rows(self._batch_rows(tuning))
            self._publish(model)
        return model

    def redefine(
        self,
        model_id: str,
        path: str,
        options: LoadOptions,
        *,
        tuning: Tuning,
        pinned: bool,
        cache_predictions: bool,
    ) -> Model:
        """Has a model answer from another file, or loaded in another way, under the same id.

        As `Engine.reload`: the present version answers until the new one is ready, and then what
        it has accepted.

        Raises: as `Engine.load`, and then the present version stays; `ModelBusyError` where
            another request has changed the model meanwhile.
        """
        model = self.model(model_id)
        file = resolve_model_path(path, self.settings.model_dir if options.walled else None)
        self._require_unloaded(file, model)
        before, tuned = model.load_options, model.tuning

        def load(promise: Promise) -> tuple[Version, int]:
            return self._load_version(model_id, file, options, promise, model.version, tuning)

        with self._beside(model, tuning, load) as beside:
            self.swap(
                beside,
                still=lambda: model.load_options is before and model.tuning is tuned,
                options=options,
            )
        with self._lock:
            model.file, model.model_path = file, path
            model.pinned, model.cache_predictions = pinned, cache_predictions
            self._publish(model)
        return model

    def _require_unloaded(self, file: Path, model: Model) -> None:
        with self._lock:
            files = {name: other.file for name, other in self._models.items()} | self._loading
            for name, other in files.items():
                if other == file and name != model.model_id:
                    raise ModelAlreadyLoadedError(
                        f"{file.name} is loaded already, as model {name!r}; unload it first",
                        model_id=name,
                    )
