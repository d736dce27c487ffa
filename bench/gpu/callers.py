"""More and more callers in process, against torch eager: a Python loop that answers one by one."""

from __future__ import annotations

import time
from collections.abc import Callable

import slipstream
from bench.gpu import turns
from bench.gpu.backends import contenders, require_same
from bench.gpu.latency import EAGER, eager_call
from bench.gpu.load import rate, requests_of
from bench.gpu.networks import Array, Network, expected
from bench.gpu.plan import Context, Found
from bench.lib.taken import Figures, Taken

_DIFFERENT = 64


def scenario(network: str, callers: int) -> str:
    """Its name in result files."""
    return f"gpu callers: {network}, {callers} under way"


def measure(context: Context) -> Found:
    """Requests of one row a second, by network and how many are under way.

    Raises:
        WrongError: an answer is wrong, or a request failed.
    """
    found: dict[str, list[Taken]] = {}
    for network in context.plan.networks:
        with slipstream.Engine(state_dir=context.folder / "state") as engine:
            found |= _network(context, network, engine)
    return found


def _network(
    context: Context, network: Network, engine: slipstream.Engine
) -> dict[str, list[Taken]]:
    requests = requests_of(network, _DIFFERENT, 1)
    right = expected(network, requests[0])
    eager = eager_call(network, context.device)
    require_same(EAGER, network, eager(requests[0]), right)
    models, absent = contenders(context, network, engine)
    for name, model in models.items():
        require_same(name, network, model.predict(requests[0]), right)
    found = {}
    for callers in context.plan.concurrencies:
        blocks: dict[str, turns.Block] = {
            EAGER: lambda: _one_by_one(eager, requests, context.plan.block_s / 2)
        }
        for name, model in models.items():
            blocks[name] = _block(context, model, requests, callers)
        title = f"{network.title}, {callers}"
        taken = turns.run(title, blocks, context.plan.load_rounds, context.say)
        turns.add_over(taken, EAGER, "per_s", "over_eager")
        found[scenario(network.name, callers)] = [*taken, *absent]
    return found


def _one_by_one(eager: Callable[[Array], Array], requests: list[Array], seconds: float) -> Figures:
    begin = time.perf_counter()
    answered = 0
    while (took_s := time.perf_counter() - begin) < seconds:
        eager(requests[answered % len(requests)])
        answered += 1
    return {"per_s": answered / took_s}


def _block(
    context: Context, model: slipstream.Model, requests: list[Array], callers: int
) -> turns.Block:
    return lambda: {"per_s": rate(model.submit, requests, callers, context.plan.block_s / 2)}
