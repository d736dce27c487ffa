"""Routes whose answers are kept for a moment (`slipstream.http.answer_cache`)."""

from __future__ import annotations

from collections.abc import Callable

from slipstream.http.answer_cache import Stamp
from slipstream.http.routes.context import Context
from slipstream.http.types import Request, Response

Handler = Callable[[Context, Request], Response]


def cached(handler: Handler, stamp: Callable[[Context, Request], Stamp] | None = None) -> Handler:
    """``handler``, asked only when what it answered last is stale; ``stamp`` as there."""

    def serve(context: Context, request: Request) -> Response:
        return serve_cached(context, request, handler, stamp)

    serve.__doc__ = handler.__doc__
    return serve


def serve_cached(
    context: Context,
    request: Request,
    handler: Handler,
    stamp: Callable[[Context, Request], Stamp] | None = None,
) -> Response:
    """What the server's cache has, or else ``handler`` makes."""
    now = _of_server(context) if stamp is None else stamp(context, request)
    return context.answers.serve(request, lambda: handler(context, request), now)


def _of_server(context: Context) -> Stamp:
    """Settings are a new object where one has changed."""
    return context.settings, context.status()


def of_presence(context: Context, request: Request) -> Stamp:
    """What answers that count models must not miss."""
    models = context.engine.models()
    return (
        *_of_server(context),
        *((one.model_id, one.version.serial, one.state) for one in models),
    )


def of_models(context: Context, request: Request) -> Stamp:
    """What answers about all models must not miss."""
    return tuple(_of_model(context, model.model_id) for model in context.engine.models())


def of_named_model(context: Context, request: Request) -> Stamp:
    """What an answer about the model of the path must not miss."""
    return _of_model(context, request.params["model_id"])


def _of_model(context: Context, model_id: str) -> Stamp:
    model = context.engine.model(model_id)
    counted = model.metrics().inference_count
    return model.model_id, model.version.serial, model.loaded_at, model.state, counted
