"""GET /metrics: what Prometheus scrapes."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from slipstream.http.failures import error_response
from slipstream.http.prometheus import Exposition, ServerCollector
from slipstream.http.routes.context import Context
from slipstream.http.types import About, Pending, Request, Response, Route
from slipstream.own_threads import call_thread


class Scrapes:
    """The route. Scrapes that come while one is written wait, and share the next one's text.

    The event loop's thread; writing happens on a thread of its own.
    """

    def __init__(self, context: Context) -> None:
        self._needs_key = context.settings.metrics_require_key
        self._context = context
        engine = context.engine
        self._exposition = Exposition(
            ServerCollector(
                engine.observed,
                lambda: context.level(),
                context.traffic,
                context.speech.counts,
                engine.loads.all,
                engine.version,
                engine.started_at,
            )
        )
        self._writer = ThreadPoolExecutor(1, "slipstream-metrics", call_thread, ("metrics",))
        self._is_writing = False
        self._writing: asyncio.Task[None] | None = None
        self._waiting: dict[str, list[tuple[Request, Pending]]] = {}

    def route(self) -> Route:
        """The row of the route table."""
        fails = (401,) if self._needs_key else ()
        about = About("What Prometheus scrapes", fails=fails, media_type="text/plain")
        return Route("GET", "/metrics", self.scrape, open=True, about=about, family="core")

    def scrape(self, request: Request) -> Pending:
        """GET /metrics: counters and levels in Prometheus' text format, or as OpenMetrics.

        Raises:
            AuthenticationError: METRICS_REQUIRE_KEY is on, and there is no known key or token.
        """
        if self._needs_key:
            self._context.access.check_any(request.headers)
        pending = Pending()
        accept = request.headers.get("accept") or ""
        self._waiting.setdefault(accept[:1024], []).append((request, pending))
        if not self._is_writing:
            self._write_next()
        return pending

    def _write_next(self) -> None:
        accept = next(iter(self._waiting))
        asked = self._waiting.pop(accept)
        self._is_writing = True
        loop = asyncio.get_running_loop()
        self._writing = loop.create_task(self._write(loop, accept, asked))

    async def _write(
        self,
        loop: asyncio.AbstractEventLoop,
        accept: str,
        asked: list[tuple[Request, Pending]],
    ) -> None:
        failure: Exception | None = None
        try:
            body, content_type = await loop.run_in_executor(
                self._writer, self._exposition.write, accept
            )
        except Exception as error:  # the scrapes must be answered all the same
            failure = error
        self._is_writing = False
        if self._waiting:
            self._write_next()
        for request, pending in asked:
            if failure is None:
                pending.resolve(Response(200, body, content_type=content_type))
            else:
                pending.resolve(error_response(failure, request, self._context.clock))
