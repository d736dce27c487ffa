"""A version that runs beside the one that answers, and may take its place."""

from __future__ import annotations

from slipstream.api.model import Model
from slipstream.api.promise import Promise
from slipstream.api.tuning import Tuning
from slipstream.api.version import Version


class Beside:
    """Made by `Engine.beside`, for the thread that called it."""

    def __init__(
        self,
        model: Model,
        version: Version,
        size_bytes: int,
        tuning: Tuning,
        promise: Promise,
    ) -> None:
        self.model = model
        """Whose version it may become."""
        self.version = version
        self.size_bytes = size_bytes
        """Of its files."""
        self.tuning = tuning
        """How it runs."""
        self.promise = promise
        self.is_swapped = False
        """Whether it answers for the model, or did."""
