"""What has to be done when ``models.json`` has changed: a pure function of two catalogs."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from slipstream.models.catalog import RELOADING, Catalog, ModelEntry


class Changed(NamedTuple):
    """An entry that was, and what it is now."""

    old: ModelEntry
    new: ModelEntry


class Changes(NamedTuple):
    """In the order in which they are made, so that no request meets a gap that can be avoided."""

    unload_first: tuple[ModelEntry, ...] = ()
    """Gone, and in the way of what comes: a file is a model once, and an id names one thing."""
    load: tuple[ModelEntry, ...] = ()
    """New, or wanted before and not there."""
    reload: tuple[Changed, ...] = ()
    """Another version answers from then on; until then the present one does."""
    adjust: tuple[Changed, ...] = ()
    """The version that answers stays."""
    unload: tuple[ModelEntry, ...] = ()
    """Gone."""

    def __bool__(self) -> bool:
        return any(self)  # a tuple of five is never empty


def changes(old: Catalog, new: Catalog, missing: Collection[str] = ()) -> Changes:
    """From one catalog to another.

    Args:
        old: What was put in force last.
        new: What is to be.
        missing: Names (`ModelEntry.name`) of enabled entries of ``old`` that could not be loaded:
            they are tried again though nothing of them has changed.
    """
    before = {entry.name: entry for entry in old.enabled}
    after = {entry.name: entry for entry in new.enabled}
    load, reload, adjust = [], [], []
    for name, entry in after.items():
        was = before.get(name)
        if was is None or name in missing:
            load.append(entry)
        elif was != entry:
            kind = reload if differing(was, entry) & RELOADING else adjust
            kind.append(Changed(was, entry))
    gone = [entry for name, entry in before.items() if name not in after and name not in missing]
    wanted_paths = {entry.model_path for entry in load} | {one.new.model_path for one in reload}
    wanted_ids = {alias for entry in after.values() for alias in entry.aliases}
    first = [
        entry
        for entry in gone
        if entry.model_path in wanted_paths or (entry.model_id or "") in wanted_ids
    ]
    return Changes(
        unload_first=tuple(first),
        load=tuple(load),
        reload=tuple(reload),
        adjust=tuple(adjust),
        unload=tuple(entry for entry in gone if entry not in first),
    )


def differing(old: ModelEntry, new: ModelEntry) -> frozenset[str]:
    """The keys in which two entries differ."""
    was, now = msgspec.structs.asdict(old), msgspec.structs.asdict(new)
    return frozenset(key for key in now if now[key] != was[key])
