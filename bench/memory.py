"""Resident memory with one small model: after the start, and after two seconds under load.

Of all processes of a server together; pages that they share count in each, so servers of several
processes look a little larger than they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench.http import bodies, generator, models, servers
from bench.http.bodies import OWN, Dialect
from bench.http.generator import LoadError
from bench.http.models import SMALL
from bench.http.servers import OURS
from bench.lib import tools
from bench.lib.servers import Server
from bench.lib.suite import Say, Size, WrongError, command
from bench.lib.taken import Figures, Taken
from bench.rivals import registry

CONNECTIONS = 64
_LOAD_S = 2.0
_ROUNDS = 3


def measure(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """Megabytes; three starts of ours, one of each rival in a full run.

    Raises:
        WrongError: an answer of ours was wrong.
    """
    generator.program()
    models.make_all()
    seconds = min(_LOAD_S, size.block_s * 2)
    ours = Taken(OURS)
    for _ in range(min(_ROUNDS, size.rounds)):
        try:
            ours.rounds.append(_figures(lambda: servers.slipstream([SMALL]), OWN, seconds))
        except LoadError as error:
            raise WrongError(str(error)) from error
        say(f"  {OURS:<26}{ours.rounds[-1]['rss_mb']:>8.1f} MB")
    every = [ours]
    for rival in registry.RIVALS if size.rivals else ():
        one = Taken(rival.name)
        every.append(one)
        try:
            one.rounds.append(_figures(partial(rival.start, SMALL), rival.dialect, seconds))
        except (tools.SetupError, LoadError) as error:
            one.left_out = str(error)
            continue
        say(f"  {rival.name:<26}{one.rounds[-1]['rss_mb']:>8.1f} MB")
    return {"memory": every}


def _figures(start: Callable[[], Server], dialect: Dialect, seconds: float) -> Figures:
    with start() as server:
        before = server.rss_mb()
        traffic = bodies.traffic(dialect, SMALL, 1, connections=CONNECTIONS)
        generator.run(server.address, [traffic], seconds)
        return {"started_mb": before, "rss_mb": server.rss_mb()}


main = command("memory", "Resident memory of a server with one small model.", measure)
