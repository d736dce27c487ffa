"""The routes at the root: `/predict`, `/health` and those beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from slipstream.http.routes import (
    catalog,
    core_config,
    core_health,
    core_info,
    core_predict,
    core_stats,
    downloads,
    synthesize,
    transcribe,
)
from slipstream.http.routes.cached import cached, of_presence
from slipstream.http.routes.context import Context
from slipstream.http.routes.core_abouts import CORE_ABOUTS
from slipstream.http.routes.root import Root
from slipstream.http.types import Method, Pending, Request, Response, Route
from slipstream.scopes import Scope


def core_routes(context: Context) -> tuple[Route, ...]:
    """Everything at the root, but the documentation and ``/metrics``."""

    def row(
        method: Method,
        path: str,
        handler: Callable[[Context, Request], Response | Pending],
        *,
        slow: bool = False,
        is_open: bool = False,
        id_prefix: str = "req_",
        scope: Scope | None = None,
        protected: bool = False,
        body_token: bool = False,
    ) -> Route:
        return Route(
            *(method, path, partial(handler, context), slow, is_open, id_prefix),
            about=CORE_ABOUTS.get(f"{method} {path}"),
            scope=scope,
            protected=protected,
            body_token=body_token,
            family="core",
        )

    root = Root(context)
    table = (
        root.route(),
        row("POST", "/predict", core_predict.predict, scope="predict", body_token=True),
        row("GET", "/health", core_health.health, is_open=True),
        row("GET", "/info", cached(core_info.info, of_presence), is_open=True),
        row("GET", "/stats", core_stats.stats, protected=True),
        row("GET", "/config", cached(core_config.config, of_presence), is_open=True),
        row("GET", "/models", catalog.models),
        row("POST", "/models/download", downloads.download, scope="models"),
        row("GET", "/models/download/{job_id}", downloads.find),
        row("DELETE", "/models/download/{job_id}", downloads.cancel, scope="models"),
        row("POST", "/synthesize", synthesize.synthesize, scope="predict"),
        row("POST", "/transcribe", transcribe.transcribe, scope="predict"),
    )
    root.describe(table)
    return table
