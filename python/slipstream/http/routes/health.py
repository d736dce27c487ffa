"""Health: open to everybody, whatever the load."""

from __future__ import annotations

import time

from slipstream.http.clock import format_uptime
from slipstream.http.codec import json_response
from slipstream.http.health import overall
from slipstream.http.routes.assessed import assessed
from slipstream.http.routes.context import Context
from slipstream.http.schemas.health import HealthAnswer
from slipstream.http.types import Request, Response


def health(context: Context, request: Request) -> Response:
    """GET health: 200 while healthy or degraded, 503 when unhealthy."""
    checks = assessed(context)
    status = overall(checks)
    answer = HealthAnswer(
        status,
        context.clock.timestamp(),
        dict(checks),
        format_uptime(time.time() - context.engine.started_at),
        context.engine.version,
    )
    return json_response(answer, 503 if status == "unhealthy" else 200)
