"""The routes at the root: `/predict`, `/health` and those beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from slipstream.http.routes import (
    core_config,
    core_health,
    core_info,
    core_predict,
    core_stats,
    synthesize,
    transcribe,
)
from slipstream.http.routes.cached import cached
from slipstream.http.routes.context import Context
from slipstream.http.routes.core_abouts import CORE_ABOUTS
from slipstream.http.routes.root import Root
from slipstream.http.types import Method, Pending, Request, Response, Route


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
    ) -> Route:
        return Route(
            *(method, path, partial(handler, context), slow, is_open, id_prefix),
            about=CORE_ABOUTS.get(f"{method} {path}"),
            family="core",
        )

    root = Root(context)
    table = (
        root.route(),
        row("POST", "/predict", core_predict.predict),
        row("GET", "/health", core_health.health, is_open=True),
        row("GET", "/info", cached(core_info.info), is_open=True),
        row("GET", "/stats", core_stats.stats),
        row("GET", "/config", cached(core_config.config), is_open=True),
        row("POST", "/synthesize", synthesize.synthesize),
        row("POST", "/transcribe", transcribe.transcribe),
    )
    root.describe(table)
    return table
