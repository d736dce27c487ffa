"""``slipstream serve``: load models, answer requests, end in good order."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from slipstream.cli.example import load_example
from slipstream.cli.hangup import Hangups
from slipstream.cli.logs import configure_logging
from slipstream.cli.startup import (
    Loader,
    StartupLoad,
    listed_models,
    parse_load,
    say,
    say_privately,
    startup_loads,
)
from slipstream.http.app import App
from slipstream.http.auth import Access
from slipstream.http.clock import Clock
from slipstream.http.front import FrontLoop
from slipstream.http.routes.context import Context
from slipstream.http.routes.table import all_routes
from slipstream.http.rsgi import RsgiAdapter
from slipstream.http.server import bind, serve
from slipstream.settings import Settings, forget_secrets, load_settings, stored_settings

if TYPE_CHECKING:
    from slipstream.api import Engine
    from slipstream.api.listed import Listed

_LOOK_S = 2.0
"""Between looks at the counters, for figures of the last minute."""
_CLOSE_TIMEOUT_S = 2.0
"""Worker processes that are idle end well within it."""


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "serve",
        help="answer predictions over HTTP",
        description="Answers predictions over HTTP until SIGTERM or Ctrl-C. SIGHUP has it read "
        "again what came from files.",
    )
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on; 0 takes a free one (default 8000)")
    parser.add_argument("--uds", metavar="PATH", help="Unix socket to listen on instead")
    parser.add_argument("--model-dir", metavar="DIR", help="where models are (default ./models)")
    parser.add_argument(
        "--config", metavar="FILE", help="settings file (default slipstream.toml, if it is there)"
    )
    parser.add_argument(
        "--load",
        metavar="PATH[=ID]",
        action="append",
        default=[],
        type=parse_load,
        help="load this model first, under this id; may be repeated",
    )
    parser.add_argument(
        "--device",
        help="where models compute that name no device of their own: auto, cpu, cuda, cuda:N, or "
        "several as in cuda:0,cuda:1 (default auto)",
    )
    parser.add_argument("--ssl-certificate", metavar="FILE", help="serve TLS with this certificate")
    parser.add_argument("--ssl-keyfile", metavar="FILE", help="the certificate's private key")
    parser.add_argument("--debug", action="store_true", default=None, help="log every request")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves; returns 0 after an orderly end."""
    names = ("host", "port", "uds", "model_dir", "device", "debug")
    tls = ("ssl_certificate", "ssl_keyfile")
    given = {name: getattr(arguments, name) for name in (*names, *tls)}
    settings = _settings(arguments.config, given)
    configure_logging(settings)
    forget_secrets(os.environ)
    with asyncio.Runner(loop_factory=FrontLoop) as runner:
        orderly = runner.run(_serve(settings, arguments.load))
        if not orderly:
            # Threads are still busy with requests that nobody waits for: nothing may wait for them.
            sys.stderr.flush()
            os._exit(0)
    return 0


def _settings(config: str | None, command_line: dict[str, Any]) -> Settings:
    """From all sources; where the stored ones lie, the others say."""
    first = load_settings(config=config, command_line=command_line)
    kept = stored_settings(first.state_path)
    if not kept:
        return first
    return load_settings(config=config, persisted=kept, command_line=command_line)


async def _serve(settings: Settings, asked: list[StartupLoad]) -> bool:
    """The whole life of the server; returns whether it left nothing running."""
    stop = stop_on_signals()
    hangups = Hangups(stop)
    access = Access(settings)
    sock = bind(settings)
    try:
        from slipstream.api import Engine  # here: a port in use should not cost the imports
        from slipstream.api.experiments_file import EXPERIMENTS_FILE
        from slipstream.api.listed import Listed
        from slipstream.api.registry import REGISTRY_FILE, Registry

        registry = Registry(settings.state_path)
        catalog = listed_models(settings.model_dir)
        loads = startup_loads(asked, catalog, settings.model_dir, registry.all())
        engine = Engine(settings)
        listed = Listed(engine, catalog, {one.model_id for one in asked if one.model_id})
        if registry.damage is not None:
            engine.absences.note(None, REGISTRY_FILE, registry.damage)
    except BaseException:
        sock.close()
        raise
    try:
        damage = engine.experiments.keep_in(settings.state_path / EXPERIMENTS_FILE)
        if damage is not None:
            engine.absences.note(None, EXPERIMENTS_FILE, damage)
        loader = Loader(engine, loads)
        if not await loader.run(settings, stop):
            sock.close()
            return False
        listed.settle()
        await asyncio.to_thread(load_example, engine)
        orderly = await _answer_requests(engine, settings, listed, sock, stop, hangups, access)
        orderly = orderly and not listed.is_changing
    finally:
        closed = await _close(engine)
    orderly = orderly and closed
    say("slipstream stopped" if orderly else "slipstream stopped before every request was done")
    return orderly


async def _answer_requests(
    engine: Engine,
    settings: Settings,
    listed: Listed,
    sock: socket.socket,
    stop: asyncio.Event,
    hangups: Hangups,
    access: Access,
) -> bool:
    """Serves until told to stop; returns whether everything in progress came to its end."""
    from slipstream.http.routes.scaler import start_scaler  # here: as the engine
    from slipstream.http.routes.tasks import start_tasks  # not before `bind`

    clock = Clock()
    context = Context(engine, settings, clock, access)
    context.listed = listed
    context.machine.gpu_watch.start()
    context.on_hangup.append(listed.reread)
    app = App(all_routes(context), settings, clock, context.traffic, context.limits, access)
    if sock.family != socket.AF_UNIX:
        context.port = sock.getsockname()[1]
    context.level = app.gate.level
    context.gate_is_full = lambda: app.gate.full
    context.active_requests = lambda: app.gate.active
    context.on_settings = lambda now: app.gate.allow(now.max_concurrent_requests)
    adapter = RsgiAdapter(app)
    context.tasks = tasks = await start_tasks(context)
    show_start_token(access)
    scaler = start_scaler(context)
    closing = asyncio.ensure_future(_mark_closing(stop, context))
    beside = (_look(context), _keep_limits(engine), hangups.heed(context.on_hangup))
    looking = [asyncio.ensure_future(one) for one in beside]
    try:
        drained = await serve(
            *(adapter, sock, settings, stop), on_ready=announce, give_up=adapter.end_all
        )
    finally:
        await asyncio.to_thread(scaler.close)
        await tasks.close()
        await context.speech.close()
    closing.cancel()
    for one in looking:
        one.cancel()
    orderly = drained and not app.slow_lane.busy and not context.lanes_busy
    app.slow_lane.close()
    context.close_lanes()
    return orderly


async def _close(engine: Engine) -> bool:
    """Closes the engine; False when an execution that nobody waits for holds it up."""
    loop = asyncio.get_running_loop()
    closing = loop.run_in_executor(None, engine.close, 0.0)
    done, _ = await asyncio.wait({closing}, timeout=_CLOSE_TIMEOUT_S)
    return bool(done)


async def _mark_closing(stop: asyncio.Event, context: Context) -> None:
    await stop.wait()
    say("slipstream is finishing what is in progress")
    context.accepting = False
    context.searches.stop()
    context.streams.close()
    context.downloads.close()
    if context.tasks is not None:
        context.tasks.stop()


async def _look(context: Context) -> None:
    """Has the window of recent requests slide."""
    while True:
        context.window.look(time.monotonic(), context.engine.totals())
        await asyncio.sleep(_LOOK_S)


async def _keep_limits(engine: Engine) -> None:
    """Has models rest when memory has grown by something else than loading."""
    loop = asyncio.get_running_loop()
    while True:
        await loop.run_in_executor(None, engine.keep_limits)
        await asyncio.sleep(_LOOK_S)


def show_start_token(access: Access) -> None:
    """Shows whoever started the server the token that it made up for this life of it, if it did."""
    if access.start_secret is None:
        return
    from slipstream.auth.mint import Signer  # here: other servers need no library for tokens

    signer = Signer.of_secret(access.start_secret, "the secret of this start")
    token = signer.token(expires_s=None)
    say_privately(f"GET /stats takes this token until the server ends: {token}")


def announce(address: str) -> None:
    """Called when connections are accepted: what lives now lives long, so freeze it."""
    gc.collect()
    gc.freeze()
    say(f"slipstream ready on {address}")


def stop_on_signals() -> asyncio.Event:
    """An event set by SIGTERM or SIGINT; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def handle(number: int) -> None:
        if stop.is_set():
            say("slipstream: stopped at once")
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle, number)
    return stop
