"""The suite: ``python -m bench soak``.

A tenth of the requests comes first; then the server is left alone and looked at. The rest follows,
and what the server holds then is compared: not one thread, file descriptor, child process or
request in progress more, and of memory at most 5%.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.http import servers
from bench.lib import environment, results, tools
from bench.lib.servers import Server
from bench.soak import served, ways
from bench.soak.churn import WIDE_ROWS, Churn
from bench.soak.sessions import Streams, Tasks
from bench.soak.traffic import Traffic
from bench.soak.vitals import MOST_GROWTH, Vitals, settled

SUITE = "soak"
NAME = "slipstream soak"
PACKAGES = ("slipstream", "granian", "uvloop", "onnxruntime", "numpy", "scikit-learn")
REQUESTS = 500_000
ENOUGH = 400_000
"""With fewer, memory is still finding its level after the first tenth, and is not judged."""
_FEWEST = 100
_SETTINGS = {
    "ASYNC_RESULT_TTL_S": "5",
    "MODEL_CACHE_SIZE": "0",
    "MEMORY_LIMIT_MB": "0",
    "MAX_BATCH_SIZE": str(WIDE_ROWS),
}
"""Ends of tasks go while it runs; models come and go as the soak has them, not by eviction. Batches
are wide enough for the forest to share their rows among cores: at the default it depends on how
fast the machine happens to be whether it ever does."""
_CLIENTS = 6
_TENTHS = (1,) * 10
"""Of the requests, between two looks."""
_TENTHS_OF_FEW = (1, 9)


def measure(requests: int) -> dict[str, Any]:
    """Soaks a server of its own; what was asked, what was held, and what is wrong with that.

    Raises:
        WrongAnswerError: a reply was wrong.
        SetupError: the server could not be started.
    """
    served.make_all()
    with (
        tempfile.TemporaryDirectory(prefix="slipstream-soak-") as state,
        servers.slipstream(
            served.as_models(), NAME, env={"STATE_DIR": state, **_SETTINGS}
        ) as server,
    ):
        churn = Churn(server.port)
        churn.begin()
        asked, looks, seconds = _soak(server, churn, requests)
        churn.end()
    first, last = looks[0], looks[-1]
    faults = last.leaks_since(first)
    is_judged = requests >= ENOUGH
    growth = last.growth_since(first)
    if is_judged and growth > MOST_GROWTH:
        faults.append(f"memory grew by {growth:.1%}, from {first.rss} to {last.rss} bytes")
    return {
        "requests": asked.total(),
        "seconds": seconds,
        "asked": dict(asked),
        "changes": dict(churn.done),
        "looks": [look._asdict() for look in looks],
        "memory_growth": growth,
        "memory_is_judged": is_judged,
        "faults": faults,
    }


def _soak(server: Server, churn: Churn, requests: int) -> tuple[Counter[str], list[Vitals], float]:
    asked: Counter[str] = Counter()
    looks: list[Vitals] = []
    seconds = 0.0
    kinds = [*ways.every(), ways.Way("task", 5, Tasks()), ways.Way("stream", 2, Streams())]
    for number, tenths in enumerate(_TENTHS if requests >= ENOUGH else _TENTHS_OF_FEW):
        count = requests * tenths // 10
        traffic = Traffic(server.port, kinds, count, _CLIENTS, churn, seed=number)
        seconds += traffic.run()
        asked.update(traffic.asked)
        looks.append(settled(server, looks[0] if looks else None))
        _say(asked, looks[-1])
    return asked, looks, seconds


def _say(asked: Counter[str], look: Vitals) -> None:
    print(
        f"  {asked.total():>9,} requests  {look.rss / 1e6:>8.1f} MB  {look.threads} threads  "
        f"{look.descriptors} descriptors  {look.children} children  "
        f"{look.in_progress} in progress",
        flush=True,
    )


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 1 when an answer was wrong, or something grew."""
    options = _parser().parse_args(arguments)
    where = environment.describe(PACKAGES)
    print("\n".join(environment.lines(where)), flush=True)
    try:
        found = measure(options.requests)
    except (tools.SetupError, ways.WrongAnswerError, OSError) as error:
        print(f"bench {SUITE}: error: {error}", file=sys.stderr)
        return 1
    results.write(options.output, SUITE, {"environment": environment.finish(where), **found})
    for name, count in sorted(found["asked"].items()):
        print(f"  {name:<20}{count:>10,}")
    print(f"  changes: {', '.join(f'{n} {name}' for name, n in found['changes'].items())}")
    judged = "" if found["memory_is_judged"] else f" (not judged below {ENOUGH:,} requests)"
    print(f"  memory grew by {found['memory_growth']:.1%}{judged}")
    for fault in found["faults"]:
        print(f"bench {SUITE}: error: {fault}", file=sys.stderr)
    print(f"wrote {options.output}")
    return 1 if found["faults"] else 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog=f"python -m bench {SUITE}",
        description="Every kind of request for long, beside loads and unloads: nothing may grow.",
    )
    made.add_argument(
        "--requests", type=_count, default=REQUESTS, metavar="N",
        help="how many (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--output", type=Path, default=tools.WORK / f"{SUITE}.json", metavar="FILE",
        help="where the figures go, as JSON (default: %(default)s)",
    )  # fmt: skip
    return made


def _count(text: str) -> int:
    number = int(text)
    if number < _FEWEST:
        raise argparse.ArgumentTypeError(f"at least {_FEWEST}")
    return number
