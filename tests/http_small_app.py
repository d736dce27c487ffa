"""A small application on the real HTTP layer, for tests of everything around the routes.

Run as a program: ``python http_small_app.py``, configured by the environment as the server is.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncGenerator

import msgspec
import uvloop

from slipstream.cli.hangup import Hangups
from slipstream.cli.logs import configure_logging
from slipstream.cli.serve import announce, show_start_token, stop_on_signals
from slipstream.errors import DeadlineExceededError, QueueFullError
from slipstream.http.app import App
from slipstream.http.clock import Clock
from slipstream.http.codec import JsonBody, encode_json
from slipstream.http.failures import error_response
from slipstream.http.rsgi import RsgiAdapter
from slipstream.http.schemas.predict import PredictRequest
from slipstream.http.server import bind, serve
from slipstream.http.types import Pending, Request, Response, Route, Streaming
from slipstream.settings import load_settings

decode_predict = JsonBody(PredictRequest)
cancelled = 0
open_pieces = 0
hangups = 0
waiting: set[Pending] = set()


class Delay(msgspec.Struct):
    seconds: float


decode_delay = JsonBody(Delay)


class Later(Pending):
    """Answers after a while; withdrawn means an answer at once, and one more in the count."""

    __slots__ = ("_timer",)

    def start(self, seconds: float) -> Later:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self.finish, Response(200, b'"later"'))
        waiting.add(self)
        return self

    def finish(self, answer: Response) -> None:
        waiting.discard(self)
        self.resolve(answer)

    def cancel(self) -> None:
        global cancelled
        cancelled += 1
        self._timer.cancel()
        self.finish(Response(503, b'"withdrawn"'))


def echo(request: Request) -> Response:
    return Response(200, request.body, content_type="application/octet-stream")


def count(request: Request) -> Response:
    answer = {"bytes": len(request.body), "query": request.query, "method": request.method}
    return Response(200, encode_json(answer))


def envelope(request: Request) -> Response:
    return Response(200, bytes(decode_predict(request).data))


def at_once(request: Request) -> Pending:
    pending = Pending()
    pending.resolve(Response(200, b'"at once"'))
    return pending


def later(request: Request) -> Pending:
    return Later().start(decode_delay(request).seconds)


def slow(request: Request) -> Response:
    time.sleep(decode_delay(request).seconds)
    return Response(200, b'"slow"')


def fault(request: Request) -> Response:
    return Response(200, encode_json(1 // 0))


def full(request: Request) -> Response:
    raise QueueFullError("the queue is full", retry_after_s=2.1)


def late(request: Request) -> Response:
    time.sleep(0.05)
    raise DeadlineExceededError("it took too long")


def late_later(request: Request) -> Pending:
    pending = Pending()
    error = DeadlineExceededError("it took too long")

    def fail() -> None:
        pending.resolve(error_response(error, request, Clock()))

    asyncio.get_running_loop().call_later(0.1, fail)
    return pending


def parameters(request: Request) -> Response:
    return Response(200, encode_json(request.params))


def state(request: Request) -> Response:
    counts = {"cancelled": cancelled, "open_pieces": open_pieces, "hangups": hangups}
    return Response(200, encode_json(counts))


def refused_step() -> None:
    raise QueueFullError("this file is damaged")


def faulty_step() -> None:
    raise RuntimeError("a fault of a step")


def counting_step() -> None:
    global hangups
    hangups += 1


async def numbers(most: int) -> AsyncGenerator[bytes]:
    global open_pieces
    open_pieces += 1
    try:
        for number in itertools.count():
            if number == most:
                raise RuntimeError("no more of this")
            yield b"%d\n" % number
            await asyncio.sleep(0.01)
    finally:
        open_pieces -= 1


def pieces(request: Request) -> Response:
    return Streaming(200, b"", content_type="text/plain", pieces=numbers(-1))


def broken_pieces(request: Request) -> Response:
    return Streaming(200, b"", content_type="text/plain", pieces=numbers(3))


ROUTES = (
    Route("POST", "/echo", echo),
    Route("POST", "/count", count),
    Route("GET", "/count", count),
    Route("POST", "/envelope", envelope, id_prefix="batch_"),
    Route("POST", "/at-once", at_once),
    Route("POST", "/later", later),
    Route("POST", "/slow", slow, slow=True),
    Route("GET", "/fault", fault),
    Route("GET", "/full", full),
    Route("GET", "/models/list", count),
    Route("GET", "/models/{model_id}/info", parameters),
    Route("DELETE", "/models/{model_id}", parameters),
    Route("GET", "/state", state, open=True),
    Route("GET", "/pieces", pieces),
    Route("GET", "/broken-pieces", broken_pieces),
    Route("GET", "/stats", count, protected=True, family="core"),
    Route("POST", "/told", count, scope="predict", body_token=True, family="core"),
    Route("POST", "/change", count, scope="models"),
    Route("POST", "/rule", count, scope="admin"),
    Route("POST", "/core/echo", echo, family="core"),
    Route("POST", "/core/later", later, family="core"),
    Route("POST", "/core/envelope", envelope, family="core"),
    Route("GET", "/core/fault", fault, family="core"),
    Route("GET", "/core/full", full, family="core"),
    Route("GET", "/core/late", late, family="core"),
    Route("GET", "/core/late-slow", late, slow=True, family="core"),
    Route("GET", "/core/late-later", late_later, family="core"),
    Route("GET", "/core/state", state, open=True, family="core"),
)


async def main() -> bool:
    settings = load_settings(command_line={"port": "0"})
    configure_logging(settings)
    app = App(ROUTES, settings, Clock())

    def give_up() -> None:
        app.gate.close()
        for pending in list(waiting):
            pending.cancel()

    stop = stop_on_signals()
    steps = (refused_step, faulty_step, app.access.read_again, counting_step)
    heeding = asyncio.ensure_future(Hangups(stop).heed(steps))
    show_start_token(app.access)
    ended = await serve(
        RsgiAdapter(app),
        bind(settings),
        settings,
        stop,
        on_ready=announce,
        give_up=give_up,
    )
    heeding.cancel()
    return ended


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(0 if runner.run(main()) else 3)
