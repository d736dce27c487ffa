"""Health: open to everybody, whatever the load."""

from __future__ import annotations

import time

from slipstream.http.clock import format_uptime
from slipstream.http.codec import json_response
from slipstream.http.health import (
    Measurements,
    assess,
    available_share,
    overall,
)
from slipstream.http.routes.context import Context
from slipstream.http.schemas.health import HealthAnswer
from slipstream.http.types import Request, Response


def health(context: Context, request: Request) -> Response:
    """GET health: 200 while healthy or degraded, 503 when unhealthy."""
    from slipstream.api.loading import QUEUE_CAPACITY  # here: as the engine is

    engine = context.engine
    counts = [model.metrics() for model in engine.models()]
    errors = sum(count.error_count for count in counts)
    requests = sum(count.inference_count for count in counts) + errors
    restarts, _ = context.recent_restarts.update(
        time.monotonic(), sum(count.restarts for count in counts), 0
    )
    recent_requests, recent_errors = context.recent.update(time.monotonic(), requests, errors)
    checks = assess(
        Measurements(
            accepting=context.accepting,
            memory_is_over=engine.memory_is_over,
            available_share=available_share(),
            missing_models=len(engine.absences)
            + sum(model.return_error is not None for model in engine.models()),
            recent_restarts=restarts,
            fullest_queue=max((count.queue_depth for count in counts), default=0) / QUEUE_CAPACITY,
            gate_full=context.gate_is_full(),
            recent_requests=recent_requests,
            recent_errors=recent_errors,
        )
    )
    status = overall(checks)
    answer = HealthAnswer(
        status,
        context.clock.timestamp(),
        dict(checks),
        format_uptime(time.time() - engine.started_at),
        engine.version,
    )
    return json_response(answer, 503 if status == "unhealthy" else 200)
