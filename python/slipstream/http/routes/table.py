"""The route table of the server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from slipstream.http.routes import engine as engine_routes
from slipstream.http.routes import health, models, multi_batch, predict
from slipstream.http.routes.context import Context
from slipstream.http.types import Express, Method, Pending, Request, Response, Route

_BASE = "/api/inference"


def inference_routes(context: Context) -> tuple[Route, ...]:
    """Everything under ``/api/inference``."""

    def row(
        method: Method,
        path: str,
        handler: Callable[[Context, Request], Response | Pending],
        *,
        slow: bool = False,
        is_open: bool = False,
        id_prefix: str = "req_",
        express: Express | None = None,
    ) -> Route:
        handle = partial(handler, context)
        return Route(method, _BASE + path, handle, slow, is_open, id_prefix, express)

    engine = context.engine

    return (
        row("POST", "/models/load", models.load, slow=True),
        row("GET", "/models/list", models.list_models),
        row("GET", "/models/{model_id}/info", models.info),
        row("GET", "/models/{model_id}/metrics", models.metrics),
        row("POST", "/models/{model_id}/reload", models.reload, slow=True),
        row("DELETE", "/models/{model_id}", models.unload, slow=True),
        row("POST", "/predict", predict.predict, express=engine.predict_route(is_batch=False)),
        row(
            *("POST", "/predict/batch", predict.predict_batch),
            id_prefix="batch_",
            express=engine.predict_route(is_batch=True),
        ),
        row(*("POST", "/predict/multi-batch", multi_batch.predict_multi_batch), id_prefix="batch_"),
        row("GET", "/engine/status", engine_routes.status),
        row("GET", "/engine/config", engine_routes.config),
        row("POST", "/engine/restart", engine_routes.restart, slow=True),
        row("DELETE", "/engine/cache", engine_routes.clear_cache),
        row("PUT", "/engine/config", engine_routes.configure, slow=True),
        row("GET", "/metrics/performance", engine_routes.performance),
        row("GET", "/metrics/resources", engine_routes.resources),
        row("GET", "/health", health.health, is_open=True),
    )
