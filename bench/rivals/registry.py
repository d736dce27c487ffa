"""Every rival: how it is started, how it is asked, and what to know beside its figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.http import models
from bench.http.bodies import LIST, MOSEC, PLAIN, V2, Dialect
from bench.http.models import Model
from bench.http.servers import started
from bench.lib import tools
from bench.lib.servers import Server, free_port
from bench.lib.tools import SetupError
from bench.rivals import mlserver, triton
from bench.rivals.launch import RECIPES, Launch

_START_S = 90.0


@dataclass(frozen=True)
class Rival:
    """One server, in one way of running it.

    Attributes:
        name: As in the tables.
        environment: Whose requirements it needs.
        dialect: How it is asked.
        command: What starts it.
        batching: Whether it joins requests: up to 32 that came within 1 ms.
        note: What to know beside its figures.
        pausable: Whether it survives being stopped while others are measured.
    """

    name: str
    environment: str
    dialect: Dialect
    command: Callable[[Launch], list[str | Path]]
    batching: bool = False
    note: str = ""
    pausable: bool = True

    def start(self, model: Model) -> Server:
        """Installs it if needed, and starts it with that model; it has answered rightly.

        Raises:
            SetupError: it could not be installed or started, or answers wrongly.
        """
        models.make_for_rivals(model)
        python = tools.environment(RECIPES / f"{self.environment}.txt", self.environment)
        port = free_port()
        launch = Launch(python, port, model, self.batching)
        env = {
            **launch.variables(),
            "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        name = f"{self.name} {model.name}"
        server = Server(name, self.command(launch), port, env, RECIPES, self.pausable)
        return started(server, self.dialect, model, _START_S)


def _script(name: str, *words: str) -> Callable[[Launch], list[str | Path]]:
    return lambda launch: [
        launch.python, RECIPES / name, *(word.format(port=launch.port) for word in words)
    ]  # fmt: skip


def _fastapi(launch: Launch) -> list[str | Path]:
    return [
        launch.python, "-m", "uvicorn", "fastapi_server:app", "--host", "127.0.0.1", "--port",
        str(launch.port), "--workers", "2", "--log-level", "error", "--no-access-log",
    ]  # fmt: skip


def _bentoml(launch: Launch) -> list[str | Path]:
    return [
        launch.python, "-m", "bentoml", "serve", "bentoml_server:Network", "--host", "127.0.0.1",
        "--port", str(launch.port),
    ]  # fmt: skip


_MOSEC = _script(
    "mosec_server.py", "--address", "127.0.0.1", "--port", "{port}", "--log-level", "error"
)
_LITSERVE = _script("litserve_server.py")
_RAY = _script("ray_server.py")
_TRITON_NOTE = "ONNX Runtime inside its python backend: the wheel holds no other"
_RAY_NOTE = "kept running while others are measured: its processes watch each other"

RIVALS = (
    Rival("mosec batched", "mosec", MOSEC, _MOSEC, batching=True),
    Rival("mosec", "mosec", MOSEC, _MOSEC),
    Rival("FastAPI", "fastapi", PLAIN, _fastapi, note="two worker processes, no batching"),
    Rival("Triton batched", "triton", V2, triton.command, batching=True, note=_TRITON_NOTE),
    Rival("Triton", "triton", V2, triton.command, note=_TRITON_NOTE),
    Rival("LitServe batched", "litserve", PLAIN, _LITSERVE, batching=True),
    Rival("LitServe", "litserve", PLAIN, _LITSERVE),
    Rival("MLServer batched", "mlserver", V2, mlserver.command, batching=True),
    Rival("MLServer", "mlserver", V2, mlserver.command, note="the model in its own process"),
    Rival("BentoML batched", "bentoml", LIST, _bentoml, True, "waits as its dispatcher decides"),
    Rival("BentoML", "bentoml", LIST, _bentoml),
    Rival("Ray Serve batched", "ray", PLAIN, _RAY, True, _RAY_NOTE, pausable=False),
    Rival("Ray Serve", "ray", PLAIN, _RAY, False, _RAY_NOTE, pausable=False),
)
"""In the order of the tables."""

BY_NAME: Mapping[str, Rival] = {rival.name: rival for rival in RIVALS}
QUICK = ("mosec batched", "mosec", "FastAPI", "Triton batched", "Triton")
"""Those that the goals name."""


def start_all(
    names: Sequence[str], model: Model, stack: ExitStack
) -> tuple[dict[str, Server], dict[str, str]]:
    """Starts rivals one after the other, to run until the stack unwinds.

    Returns:
        Those that answer, and why the others do not.
    """
    running: dict[str, Server] = {}
    left_out: dict[str, str] = {}
    for name in names:
        print(f"starting {name} with {model.name}", flush=True)
        try:
            running[name] = stack.enter_context(BY_NAME[name].start(model))
        except SetupError as error:
            left_out[name] = str(error)
            print(f"  left out: {error}", flush=True)
    return running, left_out


def versions() -> dict[str, dict[str, str]]:
    """What the requirements of every rival's environment pin."""
    environments = sorted({rival.environment for rival in RIVALS})
    return {name: tools.packages(RECIPES / f"{name}.txt") for name in environments}
