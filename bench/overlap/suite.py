"""The command: ``python -m bench overlap``."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.lib import tools
from bench.lib.suite import Say, Size, WrongError, command
from bench.lib.taken import Taken

_BUILD = tools.WORK / "overlap"
_TARGET = "overlap_bench_driver"
POLICIES = ("one at a time", "eager", "full", "full or worth it")
"""In the order of the driver's ``Policy``; the last is ours."""
FIGURES = ("requests_per_s", "p50_ms", "p99_ms", "rows_a_batch")


class Device(NamedTuple):
    """What a batch takes on it."""

    name: str
    copy_us: int
    """Each way."""
    base_us: int
    per_row_us: int


DEVICES = (
    Device("computing takes longest", 200, 2_000, 20),
    Device("copies take longest", 1_000, 200, 40),
)
CALLERS = (16, 64, 128, 256)
"""That wait for each answer."""
RATES = (2_000, 12_000)
"""Requests a second, at random."""


@cache
def _library() -> ctypes.CDLL:
    tools.cmake(Path(__file__).resolve().parent / "driver", _BUILD, _TARGET)
    loaded = ctypes.CDLL(str(_BUILD / f"lib{_TARGET}.so"))
    loaded.measure_overlap.restype = ctypes.c_int64
    return loaded


def once(policy: int, device: Device, callers: int, rate: int, seconds: float) -> dict[str, float]:
    """One run of one policy; with no callers that wait, requests come at that rate.

    Raises:
        WrongError: a request failed.
    """
    figures = (ctypes.c_double * len(FIGURES))()
    numbers = (
        *(policy, callers, rate),
        *(1_000 * us for us in (device.copy_us, device.base_us, device.per_row_us)),
        int(seconds * 1e9),
    )
    if _library().measure_overlap(*(ctypes.c_int64(number) for number in numbers), figures) != 0:
        raise WrongError(f"overlap: a request failed by the policy {POLICIES[policy]!r}")
    return dict(zip(FIGURES, figures, strict=True))


def measure(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """By what requests come from; policies take turns, in an order drawn anew for every round.

    Raises:
        SetupError: the driver could not be compiled.
        WrongError: a request failed.
    """
    _library()
    loads = [(f"{callers} callers", callers, 0) for callers in CALLERS]
    loads += [(f"{rate} requests a second", 0, rate) for rate in RATES]
    if size.name == "smoke":
        loads = [loads[0], loads[-1]]
    found = {}
    order = list(range(len(POLICIES)))
    for device in DEVICES:
        for name, callers, rate in loads:
            taken = [Taken(policy) for policy in POLICIES]
            for _ in range(size.rounds):
                random.shuffle(order)
                for policy in order:
                    taken[policy].rounds.append(once(policy, device, callers, rate, size.block_s))
            found[f"overlap: {device.name}, {name}"] = taken
            say(f"  {device.name}, {name}")
    return found


main = command("overlap", "When the next batch begins, by several policies.", measure)
