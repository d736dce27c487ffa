"""GET /info: what the server can do, and how it is doing."""

from __future__ import annotations

from typing import Literal

import msgspec


class ServerAbilities(msgspec.Struct):
    """What the operator allows, and what is there."""

    optimization_level: Literal["high", "medium", "none"]
    """High: models are compiled and may be quantized; medium: one of both; none: neither."""
    caching_strategy: Literal["lru", "off"]
    """Of predictions that models remember: the ones used least recently go first."""
    tts_backend: str | None
    """What computes speech; null where there is none."""
    auto_optimization: bool
    """Whether models are compiled when they are loaded."""
    server_features: list[str]
    """`batch_processing`, `model_caching` (models that nobody asks rest, and come back),
    `prediction_caching`, `auto_optimization`, `tts_synthesis`, `gpu_acceleration`."""


class SystemMetrics(msgspec.Struct):
    """The machine, or the container."""

    cpu_percent: float | None
    memory_percent: float
    memory_available_gb: float


class GpuMetrics(msgspec.Struct):
    """All GPUs together."""

    gpu_available: bool
    gpu_count: int
    memory_allocated_mb: float | None
    gpu_utilization: float | None
    """Percent."""


class TtsMetrics(msgspec.Struct):
    """Of speech, since the start."""

    tts_models_loaded: int
    avg_synthesis_time_ms: float | None
    synthesis_requests_total: int


class ServerPerformance(msgspec.Struct):
    """How it is doing."""

    cache_hit_rate: float | None
    """Of answers that are kept for a moment, as this one; null before the first look."""
    models_in_memory: int
    system_metrics: SystemMetrics
    gpu_metrics: GpuMetrics
    tts_metrics: TtsMetrics


class TtsCapabilities(msgspec.Struct):
    """What speech can do."""

    text_to_speech: bool
    voice_cloning: bool
    """False: slipstream cannot."""
    emotion_synthesis: bool
    """False: slipstream cannot."""
    real_time: bool
    """Whether speech was made quicker than it is spoken, as measured."""


class TtsService(msgspec.Struct):
    """Speech."""

    status: Literal["healthy", "degraded", "unavailable"]
    available_voices: list[str]
    supported_languages: list[str]
    loaded_tts_models: list[str]
    capabilities: TtsCapabilities


class DeviceInfo(msgspec.Struct):
    """Where models compute."""

    device: str
    """Of models that name none of their own: the setting."""
    models_on_gpus: int
    """Of those in memory."""
    models_fallen_back: int
    """Of those in memory: on the CPU though `auto` had chosen a GPU, or `gpu_` words were said.
    Why, tell the log and GET models/{model_id}/info."""


class InfoAnswer(msgspec.Struct):
    """GET /info."""

    timestamp: str
    server_config: ServerAbilities
    performance_metrics: ServerPerformance
    tts_service: TtsService
    devices: DeviceInfo
