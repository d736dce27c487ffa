"""In one process, from eight threads: ``submit`` and its result, against onnxruntime's ``run``.

Both are given the same rows by the same threads; ours gathers what several threads ask for into
shared executions. The threads take turns as groups: all eight of one way, then all of the other.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

import slipstream
from bench import inprocess
from bench.goals import ORT
from bench.http.servers import OURS
from bench.lib.suite import Say, Size, WrongError, command
from bench.lib.taken import Figures, Taken

THREADS = 8
_ROWS = 64
"""Different rows that each thread goes through."""
_TIMEOUT_S = 30.0


def measure(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """Requests a second of both ways.

    Raises:
        WrongError: a way answers otherwise than onnxruntime.
    """
    with tempfile.TemporaryDirectory(prefix="slipstream-bench-") as folder:
        file = Path(folder) / "network.onnx"
        onnx.save(inprocess.small_network(), file)
        reference = inprocess.onnxruntime_way(file)
        with slipstream.Engine(state_dir=Path(folder) / "state") as engine:
            model = engine.load(file)
            ways: dict[str, inprocess.Way] = {
                OURS: lambda x: model.submit(x).result(_TIMEOUT_S),
                ORT: reference,
            }
            taken = {name: Taken(name) for name in ways}
            order = random.Random(0)
            for number in range(1, size.rounds + 1):
                names = list(ways)
                order.shuffle(names)
                for name in names:
                    figures = _block(ways[name], reference, size.block_s)
                    taken[name].rounds.append(figures)
                    say(f"  round {number}/{size.rounds}  {name:<20}{figures['per_s']:>10,.0f}/s")
    return {"threads": list(taken.values())}


def _block(way: inprocess.Way, reference: inprocess.Way, seconds: float) -> Figures:
    """All threads at once, for that long."""
    counts = [0] * THREADS
    wrong: list[str] = []
    begin = threading.Barrier(THREADS + 1)
    stop = threading.Event()

    def work(number: int) -> None:
        rng = np.random.default_rng(number)
        rows = [rng.normal(size=(1, inprocess.WIDTHS[0])).astype(np.float32) for _ in range(_ROWS)]
        right = [reference(x) for x in rows]
        begin.wait()
        count, last = 0, way(rows[0])
        while not stop.is_set():
            last = way(rows[count % _ROWS])
            count += 1
        counts[number] = count
        if not np.allclose(last, right[(count - 1) % _ROWS if count else 0], rtol=1e-5, atol=1e-7):
            wrong.append(f"a thread got {last.tolist()}")
        for x, expected in zip(rows, right, strict=True):
            if not np.allclose(way(x), expected, rtol=1e-5, atol=1e-7):
                wrong.append("another answer than onnxruntime's")

    def guarded(number: int) -> None:
        try:
            work(number)
        except Exception as error:  # of any way: it must not look like a slow one
            wrong.append(f"a thread failed: {error!r}")
            begin.abort()

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):  # `wrong` says why
        begin.wait()
    started = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    took_s = time.perf_counter() - started
    for thread in threads:
        thread.join()
    if wrong:
        raise WrongError(wrong[0])
    return {"per_s": sum(counts) / took_s}


main = command("threads", f"submit from {THREADS} threads against onnxruntime's run", measure)
