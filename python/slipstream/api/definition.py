"""What an experiment consists of, and which definitions are taken."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from slipstream.errors import InvalidInputError
from slipstream.ids import require_id

MOST_VARIANTS = 16
"""Of one experiment."""
MOST_SHADOWS = 4
"""Of one experiment."""


class Variant(msgspec.Struct, frozen=True):
    """A model that may be drawn."""

    model_id: str
    weight: float
    """At least 0. Its share of the requests is this over the sum of all."""


class Shadow(msgspec.Struct, frozen=True):
    """A model that gets copies."""

    model_id: str
    share: float = 1.0
    """Of the requests, above 0 and at most 1."""


class Definition(msgspec.Struct, frozen=True):
    """Variants and shadows of an experiment."""

    variants: tuple[Variant, ...]
    shadows: tuple[Shadow, ...] = ()

    @property
    def members(self) -> list[str]:
        """The ids of all models, each once."""
        names = [one.model_id for one in self.variants]
        names += [one.model_id for one in self.shadows]
        return list(dict.fromkeys(names))


def definition_of(
    variants: Mapping[str, float], shadows: Mapping[str, float] | None = None
) -> Definition:
    """The definition by weights and shares: ``({"old": 9, "new": 1}, {"newest": 1.0})``."""
    return Definition(
        tuple(Variant(name, weight) for name, weight in variants.items()),
        tuple(Shadow(name, share) for name, share in (shadows or {}).items()),
    )


_RESERVED = "list"
"""Stands in the place of an id in a path."""


def require_experiment_id(experiment_id: str) -> None:
    """Refuses what no experiment can be called.

    Raises:
        InvalidInputError: it cannot stand in a path, or stands for something else there.
    """
    require_id(experiment_id, "experiment_id")
    if experiment_id == _RESERVED:
        raise InvalidInputError(
            f"experiment_id {experiment_id!r} is not valid: that path lists experiments",
            key="experiment_id",
        )


def require_valid(definition: Definition) -> None:
    """Refuses what nothing can be drawn from.

    Raises:
        InvalidInputError: too few or too many members, one twice, a weight or a share that is none.
    """
    for key, names, least, most in (
        ("variants", [one.model_id for one in definition.variants], 1, MOST_VARIANTS),
        ("shadows", [one.model_id for one in definition.shadows], 0, MOST_SHADOWS),
    ):
        if not least <= len(names) <= most:
            raise InvalidInputError(
                f"'{key}' has {len(names)} entries; it takes {least} to {most}", key=key
            )
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidInputError(f"'{key}' names model '{twice}' twice", key=key)
    for variant in definition.variants:
        if not (math.isfinite(variant.weight) and variant.weight >= 0):
            raise InvalidInputError(
                f"'weight' of variant '{variant.model_id}' is not valid: {variant.weight:g}; it is "
                "a number of at least 0",
                key="weight",
            )
    if not 0 < sum(variant.weight for variant in definition.variants) < math.inf:
        raise InvalidInputError(
            "the weights are not valid: their sum has to be a number above 0", key="weight"
        )
    for shadow in definition.shadows:
        if not 0 < shadow.share <= 1:
            raise InvalidInputError(
                f"'share' of shadow '{shadow.model_id}' is not valid: {shadow.share:g}; it is a "
                "number above 0 and at most 1",
                key="share",
            )
