"""What the machine's GPUs do, looked at on a thread of its own.

NVML answers in microseconds, until a driver hangs: then it answers in minutes or never, and health
is asked just then. So nobody who answers requests calls it. One thread looks at all GPUs once a
second and keeps what it saw; what it last saw too long ago is not told any more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from slipstream.gpu import nvml as management

_log = logging.getLogger("slipstream.http.gpus")
_PERIOD_S = 1.0
STALE_S = 5.0
"""Figures of a look that is longer ago say nothing about now."""


class Place(NamedTuple):
    """On the PCI bus, however it is written: NVML has eight digits where CUDA has four."""

    domain: int
    bus: int
    device: int


class Gpu(NamedTuple):
    """One of them, as it was; what it does not tell is None."""

    place: Place | None
    usage_percent: float | None
    memory_total: int | None
    memory_used: int | None
    temperature: float | None


class Look(NamedTuple):
    """At all of them."""

    gpus: tuple[Gpu, ...] = ()
    is_fresh: bool = False
    """Whether NVML saw these a moment ago."""
    driver_count: int = 0
    """How many the driver shows, where there is no NVML to ask."""


class GpuWatch:
    """One thread looks, any may ask for what it saw.

    Args:
        clock: Seconds, steady.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen = Look(), clock()  # replaced as a whole, by whoever looks
        self._stop = threading.Event()

    def start(self) -> None:
        """Begins to look; to be called once. The thread ends by itself where there is no NVML."""
        threading.Thread(target=self._run, name="slipstream-gpus", daemon=True).start()

    def close(self) -> None:
        """Has the thread end, after the look that it is at; waits for nothing."""
        self._stop.set()

    def last(self) -> Look:
        """What was seen last; waits for nothing."""
        seen, seen_s = self._seen
        if self._clock() - seen_s >= STALE_S:
            return seen._replace(is_fresh=False)
        return seen

    def look(self) -> bool:
        """Looks now, for as long as NVML takes; False: there is none, and nothing more to see."""
        nvml = management.begun()
        if nvml is None:
            from slipstream.gpu.gpus import survey  # here: it loads the compiled module

            self._seen = Look(driver_count=len(survey().cuda)), self._clock()
            return False
        gpus = tuple(_told(nvml, handle) for handle in management.handles(nvml))
        self._seen = Look(gpus, is_fresh=True), self._clock()
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.look():
                    return
            except Exception:  # of a driver, or its bindings: figures are null until it recovers
                _log.exception("GPUs cannot be looked at")
            self._stop.wait(_PERIOD_S)


def place_of(bus_id: str) -> Place:
    """``0000:0A:00.0`` as numbers."""
    domain, bus, device = bus_id.partition(".")[0].split(":")
    return Place(int(domain, 16), int(bus, 16), int(device, 16))


def _told(nvml: Any, handle: Any) -> Gpu:
    asked = management.asked
    place = asked(nvml, nvml.nvmlDeviceGetPciInfo, handle)
    load = asked(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    memory = asked(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    heat = asked(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
    return Gpu(
        None if place is None else Place(place.domain, place.bus, place.device),
        None if load is None else float(load.gpu),
        None if memory is None else int(memory.total),
        None if memory is None else int(memory.used),
        None if heat is None else float(heat),
    )
