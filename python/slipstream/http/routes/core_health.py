"""GET /health: open to everybody, whatever the load."""

from __future__ import annotations

import time

from slipstream.http.codec import json_response
from slipstream.http.devices_in_use import are_seen, gpus_in_use
from slipstream.http.health import overall
from slipstream.http.routes.assessed import assessed, lost_devices
from slipstream.http.routes.context import Context
from slipstream.http.routes.interfaces import NO_SCALER
from slipstream.http.schemas.core_health import (
    AutoscalerAnswer,
    CoreHealthAnswer,
    EngineFigures,
    HealthChecks,
    InstanceScaler,
    ModelLoader,
    ScaledModel,
    ScalerActionAnswer,
    ScalerComponents,
    ZeroScaler,
)
from slipstream.http.types import Request, Response


def health(context: Context, request: Request) -> Response:
    """GET /health: 200 while it makes sense to send traffic here, else 503."""
    checks = assessed(context)
    is_healthy = overall(checks) != "unhealthy"
    totals = context.engine.totals()
    answer = CoreHealthAnswer(
        healthy=is_healthy,
        checks=HealthChecks(
            inference_engine=checks["engine_status"] != "unhealthy",
            model=checks["model_loading"] == "healthy",
            device=not lost_devices(context)
            and are_seen(context.machine, gpus_in_use(context.engine)),
            memory=checks["memory_usage"] == "healthy",
            performance=checks["inference_performance"] == "healthy",
        ),
        timestamp=round(time.time(), 3),
        engine_stats=EngineFigures(
            totals.latencies.count, totals.average_s, context.active_requests()
        ),
        autoscaler=_autoscaler(context, checks["model_loading"] == "healthy"),
    )
    return json_response(answer, 200 if is_healthy else 503)


def _autoscaler(context: Context, has_all_models: bool) -> AutoscalerAnswer:
    scaler = context.autoscaler
    state = NO_SCALER if scaler is None else scaler.scaler_state()
    cold = context.engine.cold_starts()
    return AutoscalerAnswer(
        state.is_healthy,
        state.state,
        ScalerComponents(
            ZeroScaler(
                *(state.zero_scaler, state.last_activity, cold.number),
                *(_rounded(cold.average_s), _rounded(cold.last_s)),
            ),
            ModelLoader(
                "healthy" if has_all_models else "degraded",
                context.engine.models_on_their_way,
                sum(load.state == "waiting" for load in context.engine.loads.all()),
            ),
            InstanceScaler(
                state.zero_scaler,
                [ScaledModel(*one) for one in state.models],
                [ScalerActionAnswer(round(one.at_s, 3), *one[1:]) for one in state.actions],
            ),
        ),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
