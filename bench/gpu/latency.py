"""One caller, one row: a prediction in process over the bare launch of the recorded network.

Bare is a loop in C++: the row, which lies in page-locked memory, is copied in, libtorch's graph is
launched, the answer copied out, and an event waited for. Ours is `Model.predict` of an array, in
Python; once as models run by default, and once with their batches recorded as CUDA graphs, which is
what bare is compared with. Of other backends than torch the difference holds what their kernels
take more or less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch

import slipstream
from bench.gpu import turns
from bench.gpu.backends import contenders, require_same
from bench.gpu.bare import Bare
from bench.gpu.networks import Array, Network, expected
from bench.gpu.plan import Context, Found
from bench.lib.taken import Figures, Taken

BARE = "recorded, in C++"
EAGER = "torch eager"
_WARMUPS = 20


def scenario(network: str) -> str:
    """Its name in result files."""
    return f"gpu latency: {network}"


def measure(context: Context) -> Found:
    """Microseconds of single calls, by network.

    Raises:
        WrongError: an answer is wrong.
    """
    found = {}
    for network in context.plan.networks:
        with ExitStack() as stack:
            state = context.folder / "state"
            engine = stack.enter_context(slipstream.Engine(state_dir=state))
            found[scenario(network.name)] = _network(context, network, engine, stack)
    return found


def _network(
    context: Context, network: Network, engine: slipstream.Engine, stack: ExitStack
) -> list[Taken]:
    x = network.rows(1)
    right = expected(network, x)
    calls = context.plan.calls
    bare = stack.enter_context(Bare(network.script(context.folder), x))
    bare.require_recorded(context.device)
    bare.call(_WARMUPS)
    require_same(BARE, network, bare.answer(), right)
    blocks: dict[str, turns.Block] = {BARE: lambda: figures(bare.call(calls))}
    eager = eager_call(network, context.device)
    require_same(EAGER, network, eager(x), right)
    blocks[EAGER] = lambda: figures(timed(lambda: eager(x), calls))
    models, absent = contenders(context, network, engine, ways=(False, True))
    for name, model in models.items():
        for _ in range(_WARMUPS):
            answer = model.predict(x)
        require_same(name, network, answer, right)
        blocks[name] = _block(model, x, calls)
    taken = turns.run(network.title, blocks, context.plan.rounds, context.say)
    base = next(one for one in taken if one.name == BARE)
    for one in taken:
        for mine, theirs in zip(one.rounds, base.rounds, strict=True):
            if one is not base:
                mine["added_us"] = mine["p50_us"] - theirs["p50_us"]
    return [*taken, *absent]


def _block(model: slipstream.Model, x: Array, calls: int) -> turns.Block:
    return lambda: figures(timed(lambda: model.predict(x), calls))


def eager_call(network: Network, device: str) -> Callable[[Array], Array]:
    """A prediction as a Python program makes one."""
    module = network.module().to(device)

    def call(x: Array) -> Array:
        with torch.inference_mode():
            answer: Array = module(torch.from_numpy(x).to(device)).cpu().numpy()
        return answer

    return call


def timed(call: Callable[[], Any], calls: int) -> Array:
    """Nanoseconds of each of so many calls."""
    now = time.perf_counter_ns
    took = np.empty(calls, np.int64)
    for index in range(calls):
        begin = now()
        call()
        took[index] = now() - begin
    return took


def figures(took: Array) -> Figures:
    """Percentiles of nanoseconds, in microseconds."""
    p50, p99 = np.percentile(took, (50, 99)) / 1e3
    return {"p50_us": float(p50), "p99_us": float(p99)}
