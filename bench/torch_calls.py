"""The command: ``python -m bench torch``: one call of a TorchScript module, three ways.

Bare libtorch is a C++ loop over ``Method::operator()`` on the same module, its input a tensor that
is there already; the module's own ``module(x)`` is Python with gradients off; ours is
`Model.predict` of an array, inline on the caller's thread. They take turns in short blocks, on one
thread each, and their answers are compared before.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

import slipstream
from bench.lib import tools
from bench.lib.interleave import FULL, QUICK, Contender, Plan, Timer, run
from bench.lib.suite import Say, Size, WrongError, command
from bench.lib.taken import Taken
from slipstream.engine.torch_library import torch_folder

_HERE = Path(__file__).resolve().parent
_BUILD = tools.WORK / "torch"
_TARGET = "torch_bench_driver"
NETWORKS: dict[str, tuple[int, ...]] = {
    "16→64→3": (16, 64, 3),
    "512→1024→1024→10": (512, 1024, 1024, 10),
}
BATCHES = (1, 64)
OURS, BARE, PYTHON = "slipstream predict", "libtorch, C++ loop", "module(x) in Python"
SMOKE = Plan(rounds=2, least_rounds=2, block_ms=1.0, budget_s=0.2, longest_call_s=0.5)
PLANS = {"full": FULL, "quick": QUICK, "smoke": SMOKE}


def measure(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """Microseconds a call, by network and rows.

    Raises:
        SetupError: the C++ loop could not be compiled.
        WrongError: the ways answer differently.
    """
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    driver = _driver()
    groups: dict[str, list[Taken]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-torch-") as folder,
        slipstream.Engine(state_dir=Path(folder) / "state") as engine,
    ):
        for number, (name, widths) in enumerate(NETWORKS.items()):
            file = Path(folder) / f"network{number}.pt"
            torch.jit.script(_network(widths)).save(str(file))
            model = engine.load(file, instances=1)
            for rows in BATCHES:
                taken = _compare(driver, model, file, widths[0], rows, PLANS[size.name])
                groups[f"torch: {name}, {rows} rows"] = taken
                for one in taken:
                    say(f"  {name} × {rows:<3} {one.name:<22} {_figures_text(one)}")
    return groups


def _network(widths: tuple[int, ...]) -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    for taken, given in pairwise(widths):
        layers += [torch.nn.Linear(taken, given), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(1)).eval()


def _driver() -> ctypes.CDLL:
    torch_at = torch_folder()
    assert torch_at is not None, "torch was imported"
    found = (f"-DSLIPSTREAM_TORCH_DIR={torch_at}", f"-DPython_EXECUTABLE={sys.executable}")
    tools.cmake(_HERE / "torch_driver", _BUILD, _TARGET, *found)
    loaded = ctypes.CDLL(str(_BUILD / f"lib{_TARGET}.so"))
    loaded.open_module.restype = ctypes.c_void_p
    loaded.open_module.argtypes = [ctypes.c_char_p]
    loaded.time_module.restype = ctypes.c_int64
    loaded.time_module.argtypes = [
        *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64),
        *(ctypes.c_void_p, ctypes.c_int64),
    ]
    return loaded


def _compare(
    driver: ctypes.CDLL, model: slipstream.Model, file: Path, width: int, rows: int, plan: Plan
) -> list[Taken]:
    x = np.random.default_rng(rows).normal(size=(rows, width)).astype(np.float32)
    tensor = torch.from_numpy(x)
    load: Any = torch.jit.load
    script = torch.jit.freeze(load(str(file)).eval())
    expected = script(tensor).numpy()
    answer = np.empty_like(expected)
    module = driver.open_module(str(file).encode())

    def bare(calls: int) -> int:
        return int(
            driver.time_module(
                *(module, x.ctypes.data, rows, width, expected.size, answer.ctypes.data, calls)
            )
        )

    bare(1)
    for name, got in ((OURS, model.predict(x)), (BARE, answer)):
        if not np.allclose(got, expected, rtol=0, atol=1e-5):
            raise WrongError(f"torch: {name} answers otherwise than the module")
    contenders = [
        Contender(OURS, _python(lambda: model.predict(x))),
        Contender(BARE, bare),
        Contender(PYTHON, _python(lambda: script(tensor))),
    ]
    with torch.inference_mode():
        series = run(contenders, plan)
    bare_ns = next(one.ns_per_row for one in series if one.name == BARE)
    taken = []
    for one in series:
        ratios = [mine / theirs for mine, theirs in zip(one.ns_per_row, bare_ns, strict=True)]
        rounds = [
            {"median_us": ns / 1e3, "over_libtorch": ratio}
            for ns, ratio in zip(one.ns_per_row, ratios, strict=True)
        ]
        taken.append(Taken(one.name, rounds))
    return taken


def _python(call: Any) -> Timer:
    def timer(calls: int) -> int:
        begin = time.perf_counter_ns()
        for _ in range(calls):
            call()
        return time.perf_counter_ns() - begin

    return timer


def _figures_text(taken: Taken) -> str:
    times = sorted(one["median_us"] for one in taken.rounds)
    ratios = sorted(one["over_libtorch"] for one in taken.rounds)
    middle = len(times) // 2
    return f"{times[middle]:>10.2f} µs  {ratios[middle]:>6.2f} × libtorch"


main = command("torch", "One call of a TorchScript module: ours, libtorch's, Python's.", measure)
