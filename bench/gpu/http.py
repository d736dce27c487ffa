"""Over HTTP, the same GPU: slipstream beside FastAPI and torch, with 1 to 256 connections.

FastAPI is measured where it and uvicorn are installed, and left out elsewhere: nothing stands in
for it. Both get the same JSON from the same load generator, and every answer is checked.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from bench.gpu import turns
from bench.gpu.networks import SMALL, WIDE, Network
from bench.gpu.plan import Context, Found
from bench.http import bodies, generator, models, rounds, servers
from bench.http.bodies import OWN, PLAIN, Dialect
from bench.http.generator import Measured, Traffic
from bench.http.models import Model
from bench.http.servers import OURS
from bench.lib.servers import Server, ask, free_port
from bench.lib.suite import WrongError
from bench.lib.taken import Taken
from bench.lib.tools import SetupError

FASTAPI = "FastAPI and torch"
_NETWORKS = (SMALL, WIDE)
"""Those whose rows are sent as JSON in practice."""
_START_S = 90.0


def scenario(network: str, connections: int) -> str:
    """Its name in result files."""
    return f"gpu http: {network}, {connections} connections"


def measure(context: Context) -> Found:
    """Requests a second and their percentiles.

    Raises:
        SetupError: the load generator or our server could not be made ready.
    """
    generator.program()
    models.FOLDER.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Taken]] = {}
    for network in _NETWORKS:
        with ExitStack() as stack:
            found |= _network(context, network, stack)
    return found


def fastapi_is_missing() -> str | None:
    """Why it cannot be measured; None where it can."""
    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else None


def _network(context: Context, network: Network, stack: ExitStack) -> dict[str, list[Taken]]:
    model = served_model(network)
    running: dict[str, tuple[Server, Dialect]] = {}
    ours = servers.slipstream([model], f"{OURS} {network.name}", env={"DEVICE": context.device})
    running[OURS] = stack.enter_context(ours), OWN
    require_device(ours, model, context.device)
    absent = []
    why = fastapi_is_missing()
    if why is None:
        try:
            running[FASTAPI] = stack.enter_context(_fastapi(context, network, model)), PLAIN
        except SetupError as error:
            why = str(error)
    if why is not None:
        absent.append(turns.left_out(FASTAPI, why))
        context.say(f"  {FASTAPI}: left out: {why}")
    found = {}
    for connections in context.plan.concurrencies:
        contenders = [
            rounds.Contender(name, server, partial(_block, server, traffic, context.plan.block_s))
            for name, (server, dialect) in running.items()
            for traffic in [bodies.traffic(dialect, model, 1, connections=connections)]
        ]
        taken = rounds.run(contenders, context.plan.load_rounds, context.say)
        if all(one.rounds for one in taken):
            turns.add_over(taken, FASTAPI, "per_s", "over_fastapi")
        found[scenario(network.name, connections)] = [*taken, *absent]
    return found


def require_device(server: Server, model: Model, device: str) -> None:
    """Before anything is timed.

    Raises:
        WrongError: it computes somewhere else.
    """
    asked = {"model_name": model.name, "inputs": model.rows(1, seed=1).tolist()}
    _, body = ask(server.port, bodies.with_body("/predict", json.dumps(asked).encode()))
    told = json.loads(body).get("model_info", {}).get("device")
    if told != device:
        raise WrongError(f"{server.name} computes on {told}, not on {device}: {body[:200]!r}")


def served_model(network: Network) -> Model:
    """The network as `bench.http` has models: what is right is what ONNX Runtime answers."""
    folder = models.FOLDER
    for file in folder.glob(f"gpu_{network.name}.*"):  # of another version of this
        file.unlink()
    renamed = replace(network, name=f"gpu_{network.name}")
    return Model(
        renamed.name,
        served=renamed.script(folder),
        onnx=renamed.onnx(folder),
        width=network.dims[0],
        output="y",
        probabilities=False,
    )


def _fastapi(context: Context, network: Network, model: Model) -> Server:
    port = free_port()
    command = [
        sys.executable, "-m", "uvicorn", "bench.gpu.fastapi_app:app", "--host", "127.0.0.1",
        "--port", str(port), "--workers", "1", "--log-level", "error", "--no-access-log",
    ]  # fmt: skip
    env = {
        "BENCH_MODEL": str(model.served),
        "BENCH_DEVICE": context.device,
        "BENCH_DTYPE": network.dtype,
    }
    server = Server(f"fastapi gpu {network.name}", command, port, env)
    return servers.started(server, PLAIN, model, _START_S)


def _block(server: Server, traffic: Traffic, seconds: float) -> Measured:
    return generator.run(server.address, [traffic], seconds)["all"]
