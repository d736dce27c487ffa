"""Other names of models, and what the short way finds by any name.

An alias stands for a model wherever a request names one. It is the operator's (``models.json``),
so all of them change at once: a name is never without its model in between.

Threads: changes under the engine's lock; looking up on any thread, without.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from slipstream.engine.runtime import CoreEndpoint
from slipstream.errors import ModelAlreadyLoadedError


class Names:
    """The aliases of an engine."""

    def __init__(self) -> None:
        self.endpoints: dict[str, CoreEndpoint] = {}
        """Of models in memory, by id and by alias; the short way reads it at every request."""
        self._targets: dict[str, str] = {}  # replaced, never changed

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def target(self, name: str) -> str:
        """The id that a name stands for; any other name is an id."""
        return self._targets.get(name, name)

    def aliases_of(self, model_id: str) -> list[str]:
        """In alphabetical order."""
        return sorted(name for name, target in self._targets.items() if target == model_id)

    def put(self, model_id: str, endpoint: CoreEndpoint) -> None:
        """The short way answers for a model from now on."""
        for name in (model_id, *self.aliases_of(model_id)):
            self.endpoints[name] = endpoint

    def drop(self, model_id: str) -> None:
        """It does not any more."""
        for name in (model_id, *self.aliases_of(model_id)):
            self.endpoints.pop(name, None)

    def replace(self, targets: Mapping[str, str], taken: Container[str]) -> dict[str, str]:
        """Other aliases, in the place of those there are.

        Args:
            targets: Ids by alias. A model of that id need not be there.
            taken: What is no alias, because something else is called so.

        Returns:
            What was not taken up because the name is taken, and why.
        """
        refused = {
            name: f"{name!r} is the id of a model or an experiment"
            for name in targets
            if name in taken
        }
        kept = {name: target for name, target in targets.items() if name not in refused}
        for name in self._targets.keys() - kept.keys():
            self.endpoints.pop(name, None)
        for name, target in kept.items():
            endpoint = self.endpoints.get(target)
            if endpoint is None:
                self.endpoints.pop(name, None)
            else:
                self.endpoints[name] = endpoint
        self._targets = kept
        return refused

    def require_no_alias(self, model_id: str) -> None:
        """Refuses an id for a model that is an alias. The caller holds the lock.

        Raises:
            ModelAlreadyLoadedError: names the model that has it.
        """
        target = self._targets.get(model_id)
        if target is not None:
            raise ModelAlreadyLoadedError(
                f"model_id {model_id!r} is an alias of model {target!r} (models.json); choose "
                "another, or take the alias away first",
                model_id=target,
            )
