"""What the core endpoints ask of parts that a server may have or not."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol


class SpeechFigures(NamedTuple):
    """Speech, as it is at one moment."""

    status: Literal["healthy", "degraded", "unavailable"]
    """Unavailable: there is no model that could speak, or no package to run one."""
    voices: tuple[str, ...]
    languages: tuple[str, ...]
    loaded_models: tuple[str, ...]
    supported_models: tuple[str, ...]
    """Known by name, and able to speak here."""
    features: tuple[str, ...]
    """In words, as in a table of contents."""
    backend: str | None
    """What computes: of the models that are loaded, or of the one that would be."""
    requests_total: int
    """Texts that were synthesized."""
    average_synthesis_s: float | None
    """Seconds a text; None while there was none."""
    is_real_time: bool
    """Whether speech was made quicker than it is spoken, as measured."""


class Scaled(NamedTuple):
    """A model whose number of instances may change."""

    model_id: str
    instances: int
    """0 while it rests."""
    least: int
    most: int


class ScalerAction(NamedTuple):
    """Something that the autoscaler did."""

    at_s: float
    """Seconds since the epoch."""
    model_id: str
    instances: int
    """From then on; 0 for a model that rests."""
    reason: str


class ScalerState(NamedTuple):
    """The autoscaler, as it is at one moment."""

    state: Literal["running", "stopping", "disabled"]
    is_healthy: bool
    zero_scaler: Literal["healthy", "degraded", "disabled"]
    last_activity: float | None
    """Seconds since the epoch; None while it did nothing."""
    models: tuple[Scaled, ...] = ()
    actions: tuple[ScalerAction, ...] = ()
    """The last ones, oldest first."""


class Autoscaler(Protocol):
    """Tells its state; the event loop's thread."""

    def scaler_state(self) -> ScalerState:
        """As it is now."""


NO_SCALER = ScalerState("disabled", is_healthy=True, zero_scaler="disabled", last_activity=None)
"""Of a server that has none."""
