"""What an experiment draws from at one time."""

from __future__ import annotations

from typing import NamedTuple

from slipstream.api.definition import Definition
from slipstream.api.tally import ShadowTally, VariantTally


class Plan(NamedTuple):
    """A definition with its tallies: what a request reads once, so that changes cannot mix."""

    definition: Definition
    names: tuple[str, ...]
    weights: tuple[float, ...]
    variants: tuple[VariantTally, ...]
    shadows: tuple[tuple[float, ShadowTally], ...]
    """Share of the requests, and what counts it."""


def plan_of(definition: Definition, before: Plan | None = None) -> Plan:
    """Those who are members already go on counting."""
    variants = {} if before is None else {one.model_id: one for one in before.variants}
    shadows = {} if before is None else {one.model_id: one for _, one in before.shadows}
    names = tuple(one.model_id for one in definition.variants)
    return Plan(
        definition,
        names,
        tuple(one.weight for one in definition.variants),
        tuple(variants.get(name) or VariantTally(name) for name in names),
        tuple(
            (one.share, shadows.get(one.model_id) or ShadowTally(one.model_id))
            for one in definition.shadows
        ),
    )
