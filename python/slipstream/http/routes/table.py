"""The route table of the server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from slipstream.http.routes import engine as engine_routes
from slipstream.http.routes import (
    experiments,
    health,
    models,
    multi_batch,
    optimize,
    predict,
    streams,
    tasks,
    tune,
)
from slipstream.http.routes.abouts import ABOUTS
from slipstream.http.routes.cached import cached, of_models, of_named_model
from slipstream.http.routes.context import Context
from slipstream.http.routes.core_table import core_routes
from slipstream.http.routes.prometheus import Scrapes
from slipstream.http.routes.reference import Reference
from slipstream.http.types import Express, Method, Pending, Request, Response, Route
from slipstream.scopes import Scope

_BASE = "/api/inference"


def all_routes(context: Context) -> tuple[Route, ...]:
    """Every route of the server."""
    reference = Reference(keys_required=context.settings.require_api_key)
    table = (
        *inference_routes(context),
        *core_routes(context),
        *reference.routes(),
        Scrapes(context).route(),
    )
    reference.describe(table)
    return table


def inference_routes(context: Context) -> tuple[Route, ...]:
    """Everything under ``/api/inference``; what has no scope is read by any known caller."""

    def row(
        method: Method,
        path: str,
        handler: Callable[[Context, Request], Response | Pending],
        *,
        slow: bool = False,
        is_open: bool = False,
        id_prefix: str = "req_",
        express: Express | None = None,
        scope: Scope | None = None,
    ) -> Route:
        handle = partial(handler, context)
        about = ABOUTS.get(f"{method} {path}")
        return Route(
            *(method, _BASE + path, handle, slow, is_open, id_prefix, express, about), scope=scope
        )

    engine = context.engine

    return (
        row("POST", "/models/load", models.load, scope="models"),
        row("GET", "/models/list", cached(models.list_models, of_models)),
        row("GET", "/models/{model_id}/info", cached(models.info, of_named_model)),
        row("GET", "/models/{model_id}/metrics", models.metrics),
        row("POST", "/models/{model_id}/reload", models.reload, scope="models"),
        row("DELETE", "/models/{model_id}", models.unload, slow=True, scope="models"),
        row("POST", "/models/{model_id}/quantize", optimize.quantize, scope="models"),
        row("POST", "/models/{model_id}/compile", optimize.compile_model, scope="models"),
        row("POST", "/models/{model_id}/optimize", tune.optimize, scope="models"),
        row("GET", "/models/{model_id}/optimize", tune.progress),
        row(
            *("POST", "/predict", predict.predict),
            express=engine.predict_route(is_batch=False),
            scope="predict",
        ),
        row(
            *("POST", "/predict/batch", predict.predict_batch),
            id_prefix="batch_",
            express=engine.predict_route(is_batch=True),
            scope="predict",
        ),
        row(
            *("POST", "/predict/multi-batch", multi_batch.predict_multi_batch),
            id_prefix="batch_",
            scope="predict",
        ),
        row("POST", "/predict/async", tasks.submit, scope="predict"),
        row("GET", "/predict/async/{task_id}", tasks.find, scope="predict"),
        row("DELETE", "/predict/async/{task_id}", tasks.cancel, scope="predict"),
        row("GET", "/experiments/list", experiments.list_experiments),
        row("GET", "/experiments/{experiment_id}", experiments.info),
        row("PUT", "/experiments/{experiment_id}", experiments.put, slow=True, scope="models"),
        row("DELETE", "/experiments/{experiment_id}", experiments.end, slow=True, scope="models"),
        row("POST", "/stream/start", streams.start, scope="predict"),
        row("POST", "/stream/{stream_id}/send", streams.send, scope="predict"),
        row("GET", "/stream/{stream_id}/results", streams.results, scope="predict"),
        row("DELETE", "/stream/{stream_id}", streams.close, scope="predict"),
        row("GET", "/engine/status", engine_routes.status),
        row("GET", "/engine/config", engine_routes.config),
        row("POST", "/engine/restart", engine_routes.restart, slow=True, scope="admin"),
        row("DELETE", "/engine/cache", engine_routes.clear_cache, scope="admin"),
        row("PUT", "/engine/config", engine_routes.configure, slow=True, scope="admin"),
        row("GET", "/metrics/performance", engine_routes.performance),
        row("GET", "/metrics/resources", engine_routes.resources),
        row("GET", "/health", health.health, is_open=True),
    )
