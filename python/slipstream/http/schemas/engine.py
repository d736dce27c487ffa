"""The engine as a whole."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from slipstream.http.schemas.metrics import MemoryShare


class EngineStatusAnswer(msgspec.Struct):
    """GET engine/status. Counted since the engine was started, unloaded models included."""

    status: Literal["running", "restarting", "stopping"]
    uptime: str
    loaded_models: int
    active_requests: int
    total_predictions: int
    average_response_time: float | None
    """Null before the first prediction."""
    memory_usage: MemoryShare
    cpu_usage: float | None
    gpu_usage: float | None


class RestartedModel(msgspec.Struct):
    """One row of POST engine/restart."""

    model_id: str
    state: Literal["loaded", "evicted", "loading"]


class RestartAnswer(msgspec.Struct):
    """POST engine/restart."""

    message: str
    status: Literal["running", "restarting", "stopping"]
    models: list[RestartedModel]


class CacheClearedAnswer(msgspec.Struct):
    """DELETE engine/cache."""

    message: str
    entries_cleared: int
    memory_freed_mb: float


class EngineConfigRequest(msgspec.Struct, forbid_unknown_fields=True):
    """PUT engine/config, of which `slipstream.Engine.configure` says what the values may be."""

    max_batch_size: int | UnsetType = UNSET
    batch_timeout_ms: float | UnsetType = UNSET
    enable_quantization: bool | UnsetType = UNSET
    enable_compilation: bool | UnsetType = UNSET
    max_concurrent_requests: int | UnsetType = UNSET
    model_cache_size: int | UnsetType = UNSET
    memory_limit_mb: int | UnsetType = UNSET

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "max_batch_size": 128,
        "batch_timeout_ms": 50,
        "max_concurrent_requests": 200,
    }


class EngineConfigAnswer(msgspec.Struct):
    """GET engine/config."""

    max_batch_size: int
    batch_timeout_ms: float
    enable_quantization: bool
    enable_compilation: bool
    max_concurrent_requests: int
    model_cache_size: int
    memory_limit_mb: int
