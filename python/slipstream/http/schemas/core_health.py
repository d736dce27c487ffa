"""GET /health: whether to send traffic here, with the state of what scales."""

from __future__ import annotations

from typing import Literal

import msgspec


class HealthChecks(msgspec.Struct):
    """Whether each part can serve."""

    inference_engine: bool
    """It accepts requests."""
    model: bool
    """Every model that should be there is."""
    device: bool
    """The devices that loaded models compute on can be seen."""
    memory: bool
    """There is some left."""
    performance: bool
    """Few requests fail, and queues have room."""


class EngineFigures(msgspec.Struct):
    """Since the start."""

    requests_processed: int
    """That ran to an end."""
    avg_processing_time: float | None
    """Seconds from acceptance to the answer; null before the first request."""
    active_requests: int


class ZeroScaler(msgspec.Struct):
    """Unloads models that nobody asks, and brings them back."""

    status: Literal["healthy", "degraded", "disabled"]
    last_activity: float | None
    """Seconds since the epoch; null while it did nothing."""
    cold_starts: int
    """Returns of models that were unloaded or evicted, since the start."""
    average_cold_start_s: float | None
    """From the first request that waited; null before the first."""
    last_cold_start_s: float | None


class ModelLoader(msgspec.Struct):
    """Loads models side by side."""

    status: Literal["healthy", "degraded"]
    """Degraded: a model that should be there could not be loaded."""
    active_loaders: int
    """Models that are being loaded, reloaded or brought back now."""
    waiting: int
    """Loads that wait for their turn."""


class ScaledModel(msgspec.Struct):
    """A model whose number of instances follows its load."""

    model_id: str
    instances: int
    """Now; 0 while it rests."""
    min_instances: int
    max_instances: int


class ScalerActionAnswer(msgspec.Struct):
    """A change that was made, and why."""

    timestamp: float
    """Seconds since the epoch."""
    model_id: str
    instances: int
    """From then on; 0: it left memory."""
    reason: str


class InstanceScaler(msgspec.Struct):
    """Gives models instances, and takes them, by how long requests wait."""

    status: Literal["healthy", "degraded", "disabled"]
    models: list[ScaledModel]
    """Those with `max_instances` in models.json."""
    last_actions: list[ScalerActionAnswer]
    """Of this and of the zero scaler, oldest first."""


class ScalerComponents(msgspec.Struct):
    """Parts of the autoscaler."""

    zero_scaler: ZeroScaler
    model_loader: ModelLoader
    instances: InstanceScaler


class AutoscalerAnswer(msgspec.Struct):
    """Of GET /health."""

    healthy: bool
    state: Literal["running", "stopping", "disabled"]
    components: ScalerComponents


class CoreHealthAnswer(msgspec.Struct):
    """GET /health."""

    healthy: bool
    """Whether to send traffic here; false comes with status 503."""
    checks: HealthChecks
    timestamp: float
    """Seconds since the epoch."""
    engine_stats: EngineFigures
    autoscaler: AutoscalerAnswer
