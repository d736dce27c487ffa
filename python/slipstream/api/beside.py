"""A version that runs beside the one that answers, and may take its place."""

from __future__ import annotations

from slipstream.api.model import Model
from slipstream.api.tuning import Tuning
from slipstream.api.version import Version
from slipstream.models.prepare import Prepared


class Promise:
    """Instances that a version may start, until the model that owns it is entered."""

    def __init__(self) -> None:
        self.instances = 0


class Beside:
    """Made by `Engine.beside`, for the thread that called it."""

    def __init__(
        self,
        model: Model,
        version: Version,
        prepared: Prepared,
        tuning: Tuning,
        promise: Promise,
    ) -> None:
        self.model = model
        """Whose version it may become."""
        self.version = version
        self.prepared = prepared
        """What it runs."""
        self.tuning = tuning
        """How it runs."""
        self.promise = promise
        self.is_swapped = False
        """Whether it answers for the model, or did."""
