"""Many requests from host memory, against the same network computed back to back on the device.

The ceiling is libtorch's graph of full batches, launched again and again without copies and without
waiting, by the device's clock. Ours are requests in process, copies included; once as models run by
default, and once with their batches recorded too. Of other backends
than torch the ceiling is still libtorch's: faster kernels may exceed it.
"""

from __future__ import annotations

import slipstream
from bench.gpu import turns
from bench.gpu.backends import contenders, require_same
from bench.gpu.bare import Bare
from bench.gpu.load import rate, requests_of
from bench.gpu.networks import Array, Network, expected
from bench.gpu.plan import Context, Found
from bench.lib.taken import Figures, Taken

CEILING = "back to back on the device"
_DIFFERENT = 64
_BATCHES_UNDER_WAY = 6


def scenario(network: str) -> str:
    """Its name in result files."""
    return f"gpu throughput: {network}"


def measure(context: Context) -> Found:
    """Rows a second, by network.

    Raises:
        WrongError: an answer is wrong, or a request failed.
    """
    found = {}
    for network in context.plan.networks:
        settings = {"state_dir": context.folder / "state", "max_batch_size": context.plan.batch}
        with slipstream.Engine(**settings) as engine:  # type: ignore[arg-type]
            found[scenario(network.name)] = _network(context, network, engine)
    return found


def _network(context: Context, network: Network, engine: slipstream.Engine) -> list[Taken]:
    plan = context.plan
    probe = network.rows(2)
    right = expected(network, probe)
    requests = requests_of(network, _DIFFERENT, min(network.request_rows, plan.batch))
    with Bare(network.script(context.folder), network.rows(plan.batch)) as bare:
        bare.require_recorded(context.device)
        bare.back_to_back(plan.batches)
        blocks: dict[str, turns.Block] = {CEILING: lambda: _ceiling(context, bare)}
        models, absent = contenders(
            context, network, engine, most_rows=plan.batch, ways=(False, True)
        )
        for name, model in models.items():
            require_same(name, network, model.predict(probe), right)
            blocks[name] = _block(context, model, requests)
        taken = turns.run(network.title, blocks, plan.rounds, context.say)
    turns.add_over(taken, CEILING, "per_s", "of_ceiling")
    return [*taken, *absent]


def _ceiling(context: Context, bare: Bare) -> Figures:
    """Long enough to be a block, of as many launches as that takes."""
    once_ns = max(1, bare.back_to_back(context.plan.batches)) / context.plan.batches
    times = max(context.plan.batches, min(20_000, int(context.plan.block_s * 1e9 / once_ns / 2)))
    took_ns = max(1, bare.back_to_back(times))
    return {"per_s": context.plan.batch * times * 1e9 / took_ns}


def _block(context: Context, model: slipstream.Model, requests: list[Array]) -> turns.Block:
    rows = len(requests[0])
    under_way = max(1, _BATCHES_UNDER_WAY * context.plan.batch // rows)

    def block() -> Figures:
        return {"per_s": rows * rate(model.submit, requests, under_way, context.plan.block_s)}

    return block
