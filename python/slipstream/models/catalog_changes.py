"""What has to be done when ``models.json`` has changed: a pure function of two catalogs."""

from __future__ import annotations

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
    """New."""
    reload: tuple[Changed, ...] = ()
    """Another version answers from then on; until then the present one does."""
    adjust: tuple[Changed, ...] = ()
    """The version that answers stays."""
    unload: tuple[ModelEntry, ...] = ()
    """Gone."""

    def __bool__(self) -> bool:
        return any(self)  # a tuple of five is never empty


def changes(old: Catalog, new: Catalog) -> Changes:
    """From what is in force to what is to be.

    An entry that could not be put in force is no part of ``old``, or as it was before in it; so it
    is tried again, though the file has not changed.
    """
    before = {entry.name: entry for entry in old.enabled}
    after = {entry.name: entry for entry in new.enabled}
    load: list[ModelEntry] = []
    reload: list[Changed] = []
    adjust: list[Changed] = []
    for name, entry in after.items():
        was = before.get(name)
        if was is None:
            load.append(entry)
        elif was != entry:
            kind = reload if differing(was, entry) & RELOADING else adjust
            kind.append(Changed(was, entry))
    gone = [entry for name, entry in before.items() if name not in after]
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
