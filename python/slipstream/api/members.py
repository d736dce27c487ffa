"""What follows for loaded models from being members of an ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from slipstream.api.model import Model
from slipstream.api.version import Version
from slipstream.errors import ModelInUseError


class Fresh(NamedTuple):
    """A version that is about to answer for a model."""

    model: Model
    version: Version
    size_bytes: int


def users_of(models: Iterable[Model], model_id: str) -> list[str]:
    """The ensembles that share a model."""
    return [
        model.model_id
        for model in models
        if any(member.model_id == model_id for member in model.version.members)
    ]


def require_unused(models: Iterable[Model], model_id: str) -> None:
    """Refuses to take away what an ensemble shares.

    Raises:
        ModelInUseError: names the ensembles.
    """
    users = users_of(models, model_id)
    if users:
        named = ", ".join(repr(user) for user in users)
        raise ModelInUseError(
            f"model {model_id!r} is a member of {named}: unload what uses it first",
            model_id=model_id,
            used_by=users,
        )


def are_current(
    version: Version, models: Mapping[str, Model], coming: Mapping[str, Version] | None = None
) -> bool:
    """Whether the models that a version shares are still the ones that it was made of.

    Args:
        version: Of an ensemble, or of any model.
        models: What is loaded.
        coming: Versions that are about to answer for some of these.
    """

    def is_current(model_id: str, made_of: Version) -> bool:
        if coming is not None and model_id in coming:
            return coming[model_id] is made_of
        loaded = models.get(model_id)
        return loaded is not None and loaded.version is made_of

    return all(
        member.model_id is None or is_current(member.model_id, member.version)
        for member in version.members
    )


def require_users(models: Iterable[Model], fresh: Sequence[Fresh]) -> None:
    """Refuses a swap of a model and its ensembles when they are not all of its ensembles any more.

    Args:
        models: What is loaded.
        fresh: The model's new version, then those of the ensembles.

    Raises:
        ModelInUseError: one was loaded or unloaded meanwhile.
    """
    changed = fresh[0].model.model_id
    if users_of(models, changed) != [model.model_id for model, _, _ in fresh[1:]]:
        raise ModelInUseError(
            f"ensembles of {changed!r} were loaded or unloaded meanwhile: try again",
            model_id=changed,
        )
