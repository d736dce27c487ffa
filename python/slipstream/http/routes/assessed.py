"""The checks of both health endpoints, measured at one moment."""

from __future__ import annotations

import time

from slipstream.http.health import Level, Measurements, assess, available_share
from slipstream.http.routes.context import Context


def lost_devices(context: Context) -> list[str]:
    """Of each model whose device is lost: why."""
    lost = [model.metrics().lost_device for model in context.engine.models()]
    return [reason for reason in lost if reason is not None]


def assessed(context: Context) -> dict[str, Level]:
    """A level by check."""
    from slipstream.api.loading import QUEUE_CAPACITY  # here: as the engine is

    engine = context.engine
    counts = [model.metrics() for model in engine.models()]
    errors = sum(count.error_count for count in counts)
    requests = sum(count.inference_count for count in counts) + errors
    restarts, _ = context.recent_restarts.update(
        time.monotonic(), sum(count.restarts for count in counts), 0
    )
    recent_requests, recent_errors = context.recent.update(time.monotonic(), requests, errors)
    return assess(
        Measurements(
            accepting=context.accepting,
            memory_is_over=engine.memory_is_over,
            available_share=available_share(),
            missing_models=len(engine.absences)
            + sum(model.return_error is not None for model in engine.models()),
            lost_devices=len(lost_devices(context)),
            recent_restarts=restarts,
            fullest_queue=max((count.queue_depth for count in counts), default=0) / QUEUE_CAPACITY,
            gate_full=context.gate_is_full(),
            recent_requests=recent_requests,
            recent_errors=recent_errors,
        )
    )
