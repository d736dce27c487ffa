"""The engine as a whole: what it does, what it may do, what it uses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from slipstream.http.clock import format_uptime
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.routes.context import Context, mebibytes
from slipstream.http.schemas.engine import (
    CacheClearedAnswer,
    EngineConfigAnswer,
    EngineStatusAnswer,
    RestartAnswer,
    RestartedModel,
)
from slipstream.http.schemas.metrics import (
    CpuUsage,
    DiskUsage,
    GpuUsage,
    MemoryShare,
    MemoryUsage,
    ModelsMetrics,
    PerformanceAnswer,
    RequestMetrics,
    ResourceMetrics,
    ResourcesAnswer,
)
from slipstream.http.types import Request, Response
from slipstream.settings import Settings

if TYPE_CHECKING:
    from slipstream.api import Engine
    from slipstream.engine.runtime import CoreLatencies

_GIB = 1 << 30
_changes = JsonBody(dict[str, Any])


def status(context: Context, request: Request) -> Response:
    """GET engine/status."""
    engine, machine = context.engine, context.machine
    totals = engine.totals()
    memory = machine.memory()
    return json_response(
        EngineStatusAnswer(
            status=context.status(),
            uptime=format_uptime(time.time() - engine.started_at),
            loaded_models=sum(not model.is_resting for model in engine.models()),
            active_requests=context.active_requests(),
            total_predictions=totals.answered,
            average_response_time=totals.average_s,
            memory_usage=MemoryShare(
                mebibytes(memory.total), mebibytes(memory.used), mebibytes(memory.free)
            ),
            cpu_usage=machine.cpu_percent(),
            gpu_usage=machine.gpus().usage_percent,
        )
    )


def restart(context: Context, request: Request) -> Response:
    """POST engine/restart: requests that come meanwhile wait for their models."""
    engine = context.engine
    engine.restart()
    models = [RestartedModel(model.model_id, model.state) for model in engine.models()]
    return json_response(RestartAnswer("Engine restarted successfully", context.status(), models))


def config(context: Context, request: Request) -> Response:
    """GET engine/config."""
    return _configuration(context.settings)


def configure(context: Context, request: Request) -> Response:
    """PUT engine/config: what is named changes, all of it or nothing; kept over restarts."""
    return _configuration(context.engine.configure(_changes(request), context.on_settings))


def _configuration(settings: Settings) -> Response:
    return json_response(
        EngineConfigAnswer(
            max_batch_size=settings.max_batch_size,
            batch_timeout_ms=settings.batch_timeout_ms,
            enable_quantization=settings.enable_quantization,
            enable_compilation=settings.enable_compilation,
            max_concurrent_requests=settings.max_concurrent_requests,
            model_cache_size=settings.model_cache_size,
            memory_limit_mb=settings.memory_limit_mb,
        )
    )


def clear_cache(context: Context, request: Request) -> Response:
    """DELETE engine/cache: remembered answers are forgotten."""
    entries, freed_bytes = context.engine.prediction_cache.clear()
    return json_response(
        CacheClearedAnswer("Cache cleared successfully", entries, mebibytes(freed_bytes) or 0.0)
    )


def _hit_rate(engine: Engine) -> float | None:
    counts = engine.prediction_cache.counts()
    asked = counts.hits + counts.misses
    return counts.hits / asked if asked else None


def performance(context: Context, request: Request) -> Response:
    """GET metrics/performance: counts since the start; times and rates of the last minute."""
    from slipstream.api.memory import resident_bytes  # here: as the engine is

    engine, machine = context.engine, context.machine
    now_s, totals = time.monotonic(), engine.totals()
    seconds, recent = context.window.since(now_s, totals)
    latencies, gpus = recent.latencies, machine.gpus()
    memory = [model.memory_usage_bytes for model in engine.models() if not model.is_resting]
    known = [count for count in memory if count is not None]
    return json_response(
        PerformanceAnswer(
            RequestMetrics(
                total_requests=totals.answered + totals.failed + totals.not_run,
                successful_requests=totals.answered,
                failed_requests=totals.failed + totals.not_run,
                average_response_time=recent.average_s,
                p95_response_time=percentile_s(latencies, 95),
                p99_response_time=percentile_s(latencies, 99),
                requests_per_second=recent.answered / seconds if seconds > 0 else 0.0,
            ),
            ResourceMetrics(
                machine.cpu_percent(),
                mebibytes(resident_bytes()),
                gpus.usage_percent,
                mebibytes(gpus.memory_used),
            ),
            ModelsMetrics(len(memory), mebibytes(sum(known)) if known else None, _hit_rate(engine)),
        )
    )


def percentile_s(latencies: CoreLatencies, percent: float) -> float | None:
    """Seconds; None where nothing ran."""
    return latencies.percentile_ns(percent) / 1e9 if latencies.count else None


def resources(context: Context, request: Request) -> Response:
    """GET metrics/resources."""
    machine = context.machine
    memory, gpus = machine.memory(), machine.gpus()
    full_percent, free_bytes = machine.disk()
    return json_response(
        ResourcesAnswer(
            CpuUsage(machine.cpu_percent(), machine.cores(), machine.load_average()),
            MemoryUsage(
                mebibytes(memory.total),
                mebibytes(memory.used),
                mebibytes(memory.free),
                round(100.0 * memory.used / memory.total, 2),
            ),
            GpuUsage(
                gpus.number,
                gpus.usage_percent,
                mebibytes(gpus.memory_total),
                mebibytes(gpus.memory_used),
                gpus.temperature,
            ),
            DiskUsage(round(full_percent, 2), round(free_bytes / _GIB, 3)),
        )
    )
