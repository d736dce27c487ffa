"""GET /stats: how much the engine did, and how fast."""

from __future__ import annotations

import time

from slipstream.http.codec import json_response
from slipstream.http.devices_in_use import gpus_in_use, utilization
from slipstream.http.routes.context import Context, mebibytes
from slipstream.http.routes.engine import percentile_s
from slipstream.http.schemas.core_stats import EngineStats, PerformanceReport, StatsAnswer
from slipstream.http.types import Request, Response


def stats(context: Context, request: Request) -> Response:
    """GET /stats: counts since the start, latencies and throughput of the last minute."""
    from slipstream.api.memory import resident_bytes  # here: as the engine is

    engine = context.engine
    totals = engine.totals()
    seconds, recent = context.window.since(time.monotonic(), totals)
    latencies = recent.latencies
    return json_response(
        StatsAnswer(
            EngineStats(
                requests_processed=totals.latencies.count,
                total_processing_time=totals.latencies.sum_ns / 1e9,
                avg_processing_time=totals.average_s,
                active_requests=context.active_requests(),
                queue_size=sum(model.metrics().queue_depth for model in engine.models()),
                memory_usage_mb=mebibytes(resident_bytes()),
            ),
            PerformanceReport(
                throughput_fps=recent.answered / seconds if seconds > 0 else 0.0,
                latency_p50=percentile_s(latencies, 50),
                latency_p95=percentile_s(latencies, 95),
                latency_p99=percentile_s(latencies, 99),
                device_utilization=_utilization(context),
            ),
        )
    )


def _utilization(context: Context) -> float | None:
    numbers = gpus_in_use(context.engine)
    percent = utilization(context.machine, numbers) if numbers else context.machine.cpu_percent()
    return None if percent is None else round(percent / 100.0, 4)
