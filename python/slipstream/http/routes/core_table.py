"""The routes at the root: `/predict`, `/health` and those beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from slipstream.http.routes import catalog, downloads
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
    table: tuple[Route, ...] = (
        root.route(),
        row("GET", "/models", catalog.models),
        row("POST", "/models/download", downloads.download),
        row("GET", "/models/download/{job_id}", downloads.find),
        row("DELETE", "/models/download/{job_id}", downloads.cancel),
    )
    root.describe(table)
    return table
