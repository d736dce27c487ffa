"""GET /stats: how much the engine did, and how fast."""

from __future__ import annotations

import msgspec


class EngineStats(msgspec.Struct):
    """Since the start; the last three now."""

    requests_processed: int
    """That ran to an end."""
    total_processing_time: float
    """Seconds from acceptance to the answer, summed over them."""
    avg_processing_time: float | None
    """Null before the first one."""
    active_requests: int
    queue_size: int
    """Requests that wait for a model."""
    memory_usage_mb: float | None
    """Of the server and its worker processes."""


class PerformanceReport(msgspec.Struct):
    """Of the last minute; latencies are seconds, and null where nothing ran."""

    throughput_fps: float
    """Requests answered a second."""
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None
    device_utilization: float | None
    """Of the GPUs where models compute on some, else of the cores; 0 to 1."""


class StatsAnswer(msgspec.Struct):
    """GET /stats."""

    stats: EngineStats
    performance_report: PerformanceReport
