"""Starts what is measured: slipstream with limits that fit the load, and Granian's constant answer.

No server caches predictions, and every one runs its model on one thread per execution.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.http import models
from bench.http.bodies import OWN, Dialect, post
from bench.http.generator import Traffic
from bench.http.models import Model
from bench.lib import tools
from bench.lib.servers import Server, ask, free_port

OURS = "slipstream"
ONE_WORKER = f"{OURS}, 1 worker"
"""With one model worker, as the rivals have; by itself it has one a core, up to four."""
CONSTANT = "Granian constant"
LIMITS = {"MAX_CONCURRENT_REQUESTS": "4096", "MAX_CONNECTIONS": "8192"}
"""Of slipstream, for loads of up to some thousand connections."""
_READY_S = 60.0


def no_settings() -> dict[str, str]:
    """Empty variables for every setting of slipstream: its defaults are measured."""
    from slipstream.setting_options import OPTIONS

    return {option.env: "" for option in OPTIONS.values() if option.env}


def slipstream(
    served: Sequence[Model],
    name: str = OURS,
    python: Path | str = sys.executable,
    env: dict[str, str] | None = None,
    program: Sequence[str] = ("-m", "slipstream.cli.main"),
    prefix: Sequence[str] = (),
) -> Server:
    """``slipstream serve`` with these models, answering rightly.

    Args:
        served: Loaded from the start.
        name: Of the contender.
        python: The interpreter that has the slipstream to measure.
        env: Further settings.
        program: What the interpreter runs, before ``serve``.
        prefix: What runs the interpreter, such as ``taskset -c 0``.
    """
    port = free_port()
    command: list[str | Path] = [
        *prefix, python, *program, "serve", "--port", str(port),
        "--model-dir", str(models.FOLDER),
    ]  # fmt: skip
    for model in served:
        command += ["--load", f"{model.served}={model.name}"]
    settings = {**no_settings(), "STATE_DIR": str(state_folder(name)), **LIMITS, **(env or {})}
    # Nothing but these settings: neither variables, nor a file in the working directory.
    folder = tempfile.gettempdir()
    server = Server(name, command, port, settings, cwd=Path(folder))
    return started(server, OWN, served[0], _READY_S)


def state_folder(name: str) -> Path:
    """Where the slipstream of that name keeps what it prepared."""
    return tools.WORK / "http" / "state" / name


def our_path() -> dict[str, str]:
    """Variables with which an interpreter finds `bench`, wherever it runs."""
    return {"PYTHONPATH": str(tools.ROOT)}


def constant(model: Model, like: Server) -> Server:
    """Granian alone, on uvloop, answering what ``like`` answered to one row of the model."""
    request = post(OWN, model, model.rows(1, seed=1))
    _, answer = ask(like.port, request)
    port = free_port()
    command: list[str | Path] = [
        sys.executable, "-m", "granian", "--interface", "rsgi", "--loop", "uvloop",
        "--workers", "1", "--http", "1", "--no-ws", "--no-log", "--backpressure", "8192",
        "--host", "127.0.0.1", "--port", str(port), "bench.http.constant:app",
    ]  # fmt: skip
    server = Server(CONSTANT, command, port, {"CONSTANT_ANSWER": answer.decode()})
    try:
        server.wait(request, lambda body: None if body == answer else f"{body!r}", _READY_S)
    except BaseException:
        server.stop()
        raise
    return server


def constant_traffic(traffic: Traffic, server: Server) -> Traffic:
    """The same requests to the constant server, whose every answer must be the constant."""
    _, answer = ask(server.port, traffic.requests[0])
    return replace(
        traffic,
        check=lambda body, said: None if said == answer else "another constant",
        key=None,
    )


def started(server: Server, dialect: Dialect, model: Model, within_s: float) -> Server:
    """The server, once its first answer came and is right; ends it where it is not."""
    try:
        server.wait(*probe(dialect, model), within_s)
    except BaseException:
        server.stop()
        raise
    return server


def probe(dialect: Dialect, model: Model) -> tuple[bytes, Callable[[bytes], str | None]]:
    """A request of one row, and the check of its answer."""
    rows = model.rows(1, seed=1)
    right = model.expected(rows)
    key = dialect.key(model)

    def check(body: bytes) -> str | None:
        try:
            said = json.loads(body)
            if key == "":
                value = said
            else:
                value = said["outputs"][0][key] if "outputs" in said else said[key]
        except (ValueError, LookupError, TypeError):
            return f"no {key!r} in {body[:200]!r}"
        return models.differs(json.dumps(value).encode(), right)

    return post(dialect, model, rows), check
