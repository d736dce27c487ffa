"""GET /: what this server is, and where to go on."""

from __future__ import annotations

from collections.abc import Iterable

from slipstream._version import __version__
from slipstream.http.codec import json_response
from slipstream.http.routes.cached import serve_cached
from slipstream.http.routes.context import Context
from slipstream.http.schemas.root import (
    AudioEndpoints,
    Endpoints,
    InferenceEndpoints,
    ModelEndpoints,
    RootAnswer,
    TtsSupport,
)
from slipstream.http.types import About, Request, Response, Route

_MESSAGE = "slipstream: predictions of trained models, as quick as can be"


class Root:
    """The route; `describe` must be called before it serves."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._endpoints = endpoints_of(())

    def route(self) -> Route:
        """The row of the route table."""
        about = About("What this server is", RootAnswer, is_kept=True)
        return Route("GET", "/", self.root, open=True, about=about, family="core")

    def describe(self, table: Iterable[Route]) -> None:
        """Sets what there is: every row of the server."""
        self._endpoints = endpoints_of(route.path for route in table)

    def root(self, request: Request) -> Response:
        """GET /: what this server is, and the paths of its endpoints by area."""
        return serve_cached(self._context, request, self._make)

    def _make(self, context: Context, request: Request) -> Response:
        speech = context.speech_figures()
        return json_response(
            RootAnswer(
                _MESSAGE,
                __version__,
                context.status(),
                context.clock.timestamp(),
                context.settings.environment,
                TtsSupport(
                    speech.status != "unavailable",
                    list(speech.supported_models),
                    list(speech.features),
                ),
                self._endpoints,
            )
        )


def endpoints_of(paths: Iterable[str]) -> Endpoints:
    """The documented endpoints that are among these."""
    known = set(paths)

    def have(path: str) -> str | None:
        return path if path in known else None

    return Endpoints(
        InferenceEndpoints(have("/predict")),
        AudioEndpoints(have("/synthesize"), have("/transcribe")),
        ModelEndpoints(have("/models"), have("/models/download")),
    )
