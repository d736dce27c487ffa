"""What is measured."""

from __future__ import annotations

import msgspec


class MemoryShare(msgspec.Struct):
    """Memory in GET engine/status; the first is the sum of the others."""

    total_mb: float | None
    used_mb: float | None
    free_mb: float | None


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
    """Null before the first request to a model that caches predictions."""


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
