"""A model on the processor as slipstream is given one core, two, four … sixteen.

The server is `bench.scale`'s, of the wide network. In process, a child of its own is kept to its
cores for every block, and answers requests of 64 rows from threads of Python: what is measured is
the engine's workers, since those rows take far longer than Python does.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from bench import scale
from bench.gpu import turns
from bench.gpu.plan import Context, Found
from bench.http import models
from bench.http.models import WIDE
from bench.lib import suite, tools
from bench.lib.taken import Figures

IN_PROCESS = "gpu cores: in process"
SERVER = "scale: wide network"
MOST = 16
ROWS = 64


def measure(context: Context) -> Found:
    """Rows a second in process, requests a second over HTTP, by cores.

    Raises:
        SetupError: something could not be started.
        WrongError: an answer was wrong.
    """
    models.make(WIDE)
    plan = context.plan
    names = {cores: f"{cores} cores" for cores in steps()}
    blocks = {
        names[cores]: partial(_block, context.folder, cores, plan.block_s) for cores in steps()
    }
    taken = turns.run("in process", blocks, plan.load_rounds, context.say)
    turns.add_over(taken, names[1], "per_s", "over_one_core")
    size = suite.Size(plan.name, plan.load_rounds, plan.block_s, rivals=False)
    return {IN_PROCESS: taken, **scale.measure(size, context.say, scale.CASES[-1:])}


def steps() -> list[int]:
    """1, 2, 4 … of the cores that this process may use."""
    return scale.steps(min(MOST, len(os.sched_getaffinity(0))))


def _block(folder: Path, cores: int, seconds: float) -> Figures:
    said = tools.call(
        [sys.executable, "-m", "bench.gpu.cores", str(folder), str(cores), str(seconds)], 120.0
    )
    return {"per_s": float(said.split()[-1])}


def child(folder: Path, cores: int, seconds: float) -> float:
    """Rows a second of an engine on the first so many cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import slipstream  # here: its threads have the cores of this one
    from bench.gpu.load import rate

    requests = [WIDE.rows(ROWS, seed) for seed in range(8)]
    settings = {"state_dir": folder / "cores", "max_workers": cores}
    with slipstream.Engine(**settings) as engine:  # type: ignore[arg-type]
        model = engine.load(WIDE.served, instances=cores)
        return ROWS * rate(model.submit, requests, 4 * cores, seconds)


if __name__ == "__main__":
    print(child(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
