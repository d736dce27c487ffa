"""From starting the process to the first right answer over HTTP, of the small ONNX network.

slipstream twice: as it is restarted, and with an empty state folder, as it is started for the very
first time. Rivals beside, in a full run. Starts take turns.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench.http import models, servers
from bench.http.models import SMALL
from bench.http.servers import OURS
from bench.lib import tools
from bench.lib.servers import Server
from bench.lib.suite import Say, Size, command
from bench.lib.taken import Taken
from bench.rivals import registry

FIRST = f"{OURS}, first start"


def measure(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """Seconds until the first answer."""
    models.make_all()
    ways: dict[str, Callable[[], Server]] = {
        OURS: lambda: servers.slipstream([SMALL]),
        FIRST: _first_start,
    }
    if size.rivals:
        names = [rival.name for rival in registry.RIVALS if not rival.batching]
        ways |= {name: partial(registry.BY_NAME[name].start, SMALL) for name in names}
    taken = {name: Taken(name) for name in ways}
    with servers.slipstream([SMALL]):
        say("  warmed up")  # files are in the page cache, bytecode is compiled
    order = random.Random(0)
    for number in range(1, size.rounds + 1):
        names = [name for name in ways if taken[name].left_out is None]
        order.shuffle(names)
        for name in names:
            try:
                with ways[name]() as server:
                    seconds = server.first_answer_s
            except tools.SetupError as error:
                if name in (OURS, FIRST):
                    raise
                taken[name].left_out, taken[name].rounds = str(error), []
                continue
            taken[name].rounds.append({"seconds": seconds})
            say(f"  round {number}/{size.rounds}  {name:<26}{seconds:>8.3f} s")
    return {"startup": list(taken.values())}


def _first_start() -> Server:
    name = "slipstream first"
    shutil.rmtree(servers.state_folder(name), ignore_errors=True)
    return servers.slipstream([SMALL], name)


main = command("startup", "Seconds from the start of a server to its first answer.", measure)
