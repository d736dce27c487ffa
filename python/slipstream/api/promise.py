"""Instances that are spoken for while a version is being started."""

from __future__ import annotations

from slipstream.api.loads import Load


class Promise:
    """Instances that a version may start, until the model that owns it is entered."""

    def __init__(self) -> None:
        self.instances = 0
        self.shares: set[str] = set()
        """Models that it is being made of, which must not rest meanwhile."""
        self.load: Load | None = None
        """What it is part of, where somebody may watch and cancel that."""
