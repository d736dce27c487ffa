"""Bodies of ``/api/inference``: one Struct per request and per answer, keys in their order.

Times are seconds, sizes are mebibytes; what cannot be measured is null. A key that is ``UNSET``
does not appear in the answer.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

Priority = Literal["low", "normal", "high", "urgent"]


class LoadRequest(msgspec.Struct):
    """POST models/load."""

    model_path: str
    model_type: str = "auto"
    compile_model: bool = True
    model_id: str | None = None
    ensemble_method: Literal["voting", "stacking", "bagging"] | None = None


class PredictOptions(msgspec.Struct, gc=False):
    """POST predict, POST predict/batch, without the rows."""

    model_id: str | None = None
    return_probabilities: bool | None = None
    batch_size: int | None = None
    timeout_ms: float | None = None
    priority: str | None = None


class PredictRequest(PredictOptions, gc=False, kw_only=True):
    """The same with them. ``data`` stays as it came."""

    data: Raw


class EntryId(msgspec.Struct, gc=False):
    """An entry of POST predict/multi-batch, as far as a failure repeats it."""

    request_id: str | None = None
    model_id: str | None = None


class EntryWeight(msgspec.Struct, gc=False):
    """An entry of POST predict/multi-batch, when variants are drawn."""

    weight: float | None = None


class MultiBatchEntry(PredictRequest, gc=False, kw_only=True):
    """One entry: a prediction with a name of its own."""

    request_id: str | None = None
    weight: float | None = None


class MultiBatchRequest(msgspec.Struct):
    """POST predict/multi-batch. Entries are read one by one: each may be wrong by itself."""

    requests: list[Raw]
    batch_timeout_ms: float | None = None
    priority: str | None = None
    routing_key: str | None = None


class LoadAnswer(msgspec.Struct):
    """POST models/load, POST models/{model_id}/reload."""

    message: str
    model_id: str
    model_type: str
    compiled: bool
    load_time: float
    model_size_mb: float
    loaded_at: str
    reason: str | UnsetType = UNSET
    """Why the model is not compiled, where it is not."""


class ListedModel(msgspec.Struct):
    """One row of GET models/list."""

    model_id: str
    model_type: str
    compiled: bool
    loaded_at: str
    inference_count: int


class ModelList(msgspec.Struct):
    """GET models/list."""

    models: list[ListedModel]
    total_models: int
    total_memory_usage_mb: float | None


class ModelInfo(msgspec.Struct):
    """GET models/{model_id}/info."""

    model_id: str
    model_type: str
    model_path: str
    compiled: bool
    loaded_at: str
    last_used: str | None
    inference_count: int
    average_inference_time: float
    model_size_mb: float
    memory_usage_mb: float | None
    backend: str
    reason: str | UnsetType = UNSET


class UnloadAnswer(msgspec.Struct):
    """DELETE models/{model_id}."""

    message: str
    model_id: str
    memory_freed_mb: float | None


class VariantMetrics(msgspec.Struct):
    """What a model did when it was drawn as a variant."""

    inference_count: int
    error_count: int
    average_inference_time: float | None


class ModelMetricsAnswer(msgspec.Struct):
    """GET models/{model_id}/metrics."""

    model_id: str
    inference_count: int
    average_inference_time: float
    total_inference_time: float
    last_inference_time: float | None
    """Null before the first."""
    error_count: int
    error_rate: float
    throughput_per_second: float
    memory_usage_mb: float | None
    variant: VariantMetrics | UnsetType = UNSET
    """Only where it was drawn as a variant."""


class PredictAnswer(msgspec.Struct, gc=False):
    """POST predict. The arrays are JSON already."""

    predictions: Raw
    probabilities: Raw | UnsetType
    model_id: str
    inference_time: float
    request_id: str
    timestamp: str


class BatchAnswer(msgspec.Struct, gc=False):
    """POST predict/batch; ``batch_size`` is the number of rows."""

    predictions: Raw
    probabilities: Raw | UnsetType
    model_id: str
    batch_size: int
    total_inference_time: float
    average_inference_time: float
    request_id: str
    timestamp: str


class EntryAnswer(msgspec.Struct, gc=False):
    """A result of POST predict/multi-batch. The arrays are JSON already."""

    request_id: str
    predictions: Raw
    probabilities: Raw | UnsetType
    model_id: str
    inference_time: float
    status: Literal["success"]
    variant: str | UnsetType = UNSET
    """The request_id of the entry, where it was drawn."""


class EntryError(msgspec.Struct):
    """What is wrong with one entry."""

    error: str
    message: str
    details: dict[str, Any]


class EntryFailure(msgspec.Struct):
    """A result of POST predict/multi-batch that is none."""

    request_id: str
    model_id: str | None
    status: Literal["error"]
    error: EntryError
    variant: str | UnsetType = UNSET


class MultiBatchAnswer(msgspec.Struct):
    """POST predict/multi-batch, also where entries failed."""

    results: list[EntryAnswer | EntryFailure]
    batch_id: str
    total_requests: int
    successful_requests: int
    failed_requests: int
    total_time: float


class MemoryShare(msgspec.Struct):
    """Memory in GET engine/status; the first is the sum of the others."""

    total_mb: float | None
    used_mb: float | None
    free_mb: float | None


class EngineStatusAnswer(msgspec.Struct):
    """GET engine/status. Counted since the engine was started, unloaded models included."""

    status: Literal["running", "stopping"]
    uptime: str
    loaded_models: int
    active_requests: int
    total_predictions: int
    average_response_time: float | None
    """Null before the first prediction."""
    memory_usage: MemoryShare
    cpu_usage: float | None
    gpu_usage: float | None


class EngineConfigAnswer(msgspec.Struct):
    """GET engine/config."""

    max_batch_size: int
    batch_timeout_ms: float
    enable_quantization: bool
    enable_compilation: bool
    max_concurrent_requests: int
    model_cache_size: int
    memory_limit_mb: int


class RequestMetrics(msgspec.Struct):
    """Of GET metrics/performance."""

    total_requests: int
    successful_requests: int
    failed_requests: int
    average_response_time: float | None
    """Null where nothing ran in the last minute."""
    p95_response_time: float | None
    p99_response_time: float | None
    requests_per_second: float


class ResourceMetrics(msgspec.Struct):
    """Of GET metrics/performance."""

    cpu_usage: float | None
    memory_usage_mb: float | None
    gpu_usage: float | None
    gpu_memory_mb: float | None


class ModelsMetrics(msgspec.Struct):
    """Of GET metrics/performance."""

    active_models: int
    total_model_memory_mb: float | None
    cache_hit_rate: float | None
    """Null while no model caches predictions."""


class PerformanceAnswer(msgspec.Struct):
    """GET metrics/performance."""

    request_metrics: RequestMetrics
    resource_metrics: ResourceMetrics
    model_metrics: ModelsMetrics


class CpuUsage(msgspec.Struct):
    """Of GET metrics/resources."""

    usage_percent: float | None
    cores: int
    load_average: list[float]


class MemoryUsage(MemoryShare):
    """Of GET metrics/resources."""

    usage_percent: float


class GpuUsage(msgspec.Struct):
    """Of GET metrics/resources: all GPUs together."""

    count: int
    usage_percent: float | None
    memory_total_mb: float | None
    memory_used_mb: float | None
    temperature: float | None


class DiskUsage(msgspec.Struct):
    """Of GET metrics/resources: where state and artifacts live."""

    usage_percent: float
    free_gb: float


class ResourcesAnswer(msgspec.Struct):
    """GET metrics/resources."""

    cpu: CpuUsage
    memory: MemoryUsage
    gpu: GpuUsage
    disk: DiskUsage


class HealthAnswer(msgspec.Struct):
    """GET health."""

    status: str
    timestamp: str
    checks: dict[str, str]
    uptime: str
    version: str
