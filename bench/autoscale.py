"""The command: ``python -m bench autoscale``: a square wave, with the autoscaler and without.

The model waits 20 ms for something that is not this machine's processor, as a model on an
accelerator does, so that more instances help and three engines may run side by side without being
in each other's way. All get the same requests, at the same random times, each with a deadline: one
engine has one instance, one as many as there may be, and one lets the autoscaler choose.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

import slipstream
from bench.lib.suite import Say, Size, WrongError, command
from bench.lib.taken import Taken
from slipstream.autoscale.controller import Autoscaler
from slipstream.errors import SlipstreamError
from slipstream.models.declared import Declared

MOST = 4
DEADLINE_MS = 200.0
HIGH_RPS, LOW_RPS = 120.0, 5.0
"""One instance answers 50 a second."""
MODEL = """
import time

class Waits:
    def predict(self, rows):
        time.sleep(0.02)
        return rows[:, 0] * 2

ENTRY = Waits
"""


class Wave(NamedTuple):
    """How long each half is, and how often both come."""

    high_s: float
    low_s: float
    cycles: int


WAVES = {
    "full": Wave(30.0, 45.0, 4),
    "quick": Wave(15.0, 40.0, 2),
    "smoke": Wave(3.0, 1.0, 1),
}


class _Arm:
    """One engine under the wave."""

    def __init__(self, name: str, folder: Path, instances: int, stack: ExitStack) -> None:
        self.name = name
        (folder / "waits.py").write_text(MODEL)
        engine = stack.enter_context(
            slipstream.Engine(state_dir=folder / "state", allow_custom_code=True, max_workers=MOST)
        )
        is_scaled = instances == 0
        declared = Declared(batching=False, max_instances=MOST if is_scaled else None)
        self.model = engine.load(
            folder / "waits.py", instances=max(1, instances), declared=declared
        )
        self.scaler = stack.enter_context(Autoscaler(engine)) if is_scaled else None
        self.latencies_s: list[float] = []
        self.asked = self.late = 0
        self.instance_seconds = 0.0

    async def ask(self, value: float) -> None:
        """One request; late ones, refused or dropped, are counted."""
        self.asked += 1
        began = time.perf_counter()
        try:
            answer = await self.model.predict_async(np.array([[value]]), timeout_ms=DEADLINE_MS)
        except SlipstreamError:
            self.late += 1
            return
        if answer.tolist() != [2 * value]:
            raise WrongError(f"autoscale: {self.name} answered {answer.tolist()} to {value}")
        self.latencies_s.append(time.perf_counter() - began)

    def taken(self, seconds: float) -> Taken:
        """Its figures."""
        in_time = [one for one in self.latencies_s if one * 1e3 <= DEADLINE_MS]
        p50, p99 = np.percentile(self.latencies_s or [np.nan], (50, 99)) * 1e3
        changes = len(self.scaler.actions()) if self.scaler is not None else 0
        figures = {
            "goodput_share": len(in_time) / self.asked,
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "mean_instances": self.instance_seconds / seconds,
            "changes": float(changes),
        }
        return Taken(self.name, [figures])


def measure(size: Size, say: Say) -> Mapping[str, Sequence[Taken]]:
    """Goodput, latency and instances, by arm.

    Raises:
        WrongError: an answer was wrong.
    """
    wave = WAVES[size.name]
    with tempfile.TemporaryDirectory(prefix="bench-autoscale-") as folder, ExitStack() as stack:
        arms = []
        for name, instances in (
            ("one instance", 1),
            ("autoscaler", 0),
            (f"{MOST} instances", MOST),
        ):
            place = Path(folder) / name.replace(" ", "-")
            place.mkdir()
            arms.append(_Arm(name, place, instances, stack))
        seconds = asyncio.run(_drive(arms, wave))
        for arm in arms:
            for action in arm.scaler.actions() if arm.scaler else ():
                say(f"  {arm.name}: {action.instances} instances: {action.reason}")
        title = (
            f"autoscale: {HIGH_RPS:g}/s for {wave.high_s:g} s, {LOW_RPS:g}/s for {wave.low_s:g} s"
        )
        return {title: [arm.taken(seconds) for arm in arms]}


async def _drive(arms: Sequence[_Arm], wave: Wave) -> float:
    """Sends the same requests to all arms; returns how long that took."""
    source = random.Random(1)
    began = time.perf_counter()
    running: set[asyncio.Task[None]] = set()
    watching = asyncio.ensure_future(_watch(arms))
    at_s, number = 0.0, 0
    length_s = wave.high_s + wave.low_s
    while at_s < length_s * wave.cycles:
        is_high = at_s % length_s < wave.high_s
        at_s += source.expovariate(HIGH_RPS if is_high else LOW_RPS)
        number += 1
        await asyncio.sleep(max(0.0, began + at_s - time.perf_counter()))
        for arm in arms:
            task = asyncio.ensure_future(arm.ask(float(number)))
            running.add(task)
            task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    watching.cancel()
    return time.perf_counter() - began


async def _watch(arms: Sequence[_Arm]) -> None:
    last_s = time.perf_counter()
    while True:
        await asyncio.sleep(0.1)
        now_s = time.perf_counter()
        for arm in arms:
            arm.instance_seconds += arm.model.version.core.instances * (now_s - last_s)
        last_s = now_s


main = command("autoscale", "A square wave, with the autoscaler and without.", measure)
