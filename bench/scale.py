"""Requests a second as slipstream is given one core, two, and so on up to all.

Servers of 1..N cores run at once, pinned, and take turns. The load generator may run anywhere, so
the last step also pays for it: with all cores the server shares one with its client.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from bench.http import bodies, generator, models, servers
from bench.http.bodies import OWN
from bench.http.generator import Measured, Traffic
from bench.http.models import GBDT, WIDE, Model
from bench.http.rounds import Contender, run
from bench.lib.servers import Server
from bench.lib.suite import Say, Size, WrongError, command
from bench.lib.taken import Taken

CONNECTIONS = 64
CASES = (("forest, 1 row", GBDT, 1), ("forest, 64 rows", GBDT, 64), ("wide network", WIDE, 1))


def measure(
    size: Size, say: Say, cases: Sequence[tuple[str, Model, int]] = CASES
) -> Mapping[str, Sequence[Taken]]:
    """Requests a second by number of cores, for these kinds of request.

    Raises:
        WrongError: an answer was wrong.
    """
    generator.program()
    for _, model, _ in cases:
        models.make(model)
    found: dict[str, Sequence[Taken]] = {}
    for title, model, rows in cases:
        with ExitStack() as stack:
            contenders = [
                _contender(stack.enter_context(_server(model, cores)), cores, model, rows, size)
                for cores in steps(len(os.sched_getaffinity(0)))
            ]
            say(f"  {title}")
            found[f"scale: {title}"] = taken = run(contenders, size.rounds, say)
        for one in taken:
            if one.left_out is not None:
                raise WrongError(f"{one.name}: {one.left_out}")
    return found


def steps(cores: int) -> list[int]:
    """1, 2, 4 … and all of them."""
    found = [1]
    while found[-1] * 2 <= cores:
        found.append(found[-1] * 2)
    return found if found[-1] == cores else [*found, cores]


def _server(model: Model, cores: int) -> Server:
    mine = sorted(os.sched_getaffinity(0))[:cores]
    return servers.slipstream(
        [model],
        f"slipstream on {cores}",
        prefix=("taskset", "-c", ",".join(map(str, mine))),
        env={"MAX_WORKERS": str(max(4, cores))},
    )


def _contender(server: Server, cores: int, model: Model, rows: int, size: Size) -> Contender:
    traffic = bodies.traffic(OWN, model, rows, connections=CONNECTIONS)
    return Contender(f"{cores} cores", server, partial(_block, server, traffic, size.block_s))


def _block(server: Server, traffic: Traffic, seconds: float) -> Measured:
    return generator.run(server.address, [traffic], seconds)["all"]


main = command("scale", "Requests a second by number of cores.", measure)
