"""What the machine uses of itself, as far as that can be measured; None where it cannot.

Memory is the container's where that is smaller than the machine's, as health judges it. GPUs are
looked at through NVML, where ``nvidia-ml-py`` and a driver are there (`slipstream.http.gpu_watch`).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import psutil

from slipstream.http.gpu_watch import Gpu, GpuWatch, place_of
from slipstream.http.health import available_share

_LEAST_S = 0.1
"""Shares of a shorter time say nothing; the last one is told again."""


class Memory(NamedTuple):
    """Bytes; ``used`` and ``free`` make up ``total``, and what can be dropped is free."""

    total: int
    used: int
    free: int


class Gpus(NamedTuple):
    """All GPUs together; the load is their mean, the temperature (°C) the highest."""

    number: int
    usage_percent: float | None = None
    memory_total: int | None = None
    memory_used: int | None = None
    temperature: float | None = None


class Machine:
    """Measures when asked, but for GPUs. Any thread.

    Args:
        folder: Of the file system whose space is told.
        clock: Seconds, steady.
        cpu_percent: The load of all cores since it was called last, in percent.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        cpu_percent: Callable[[], float] = psutil.cpu_percent,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._measure = cpu_percent
        self._measure()  # from here on
        self._measured_s = clock()
        self._cpu_percent: float | None = None
        self.gpu_watch = GpuWatch()
        """To be started by whoever serves; until then nothing is known of GPUs."""

    def cpu_percent(self) -> float | None:
        """The load of all cores since the last look; None just after the start."""
        now_s = self._clock()
        if now_s - self._measured_s >= _LEAST_S:
            self._cpu_percent = self._measure()
            self._measured_s = now_s
        return self._cpu_percent

    @staticmethod
    def cores() -> int:
        """Cores that this process may use."""
        return len(os.sched_getaffinity(0))

    @staticmethod
    def load_average() -> list[float]:
        """Threads that ran or wanted to, over 1, 5 and 15 minutes."""
        return [round(value, 2) for value in os.getloadavg()]

    @staticmethod
    def memory() -> Memory:
        """Of the machine, or of the container where that has less."""
        total = psutil.virtual_memory().total
        limit = container_limit()
        total = total if limit is None else min(total, limit)
        share = available_share()
        free = psutil.virtual_memory().available if share is None else int(total * share)
        free = min(free, total)
        return Memory(total, total - free, free)

    def disk(self) -> tuple[float, int]:
        """How full it is, in percent, and bytes that are free to us."""
        usage = shutil.disk_usage(_existing(self._folder))
        taken = usage.used + usage.free
        return (100.0 * usage.used / taken if taken else 0.0), usage.free

    @property
    def can_tell_gpus(self) -> bool:
        """Whether it is known what GPUs do now: NVML is there, and answers."""
        return self.gpu_watch.last().is_fresh

    def gpus(self, bus_ids: Collection[str] | None = None) -> Gpus:
        """As they were a moment ago; what a GPU does not tell, or did not lately, is None.

        Args:
            bus_ids: Places on the PCI bus; None: all GPUs of the machine.
        """
        last = self.gpu_watch.last()
        if bus_ids is None:
            found = last.gpus
        else:
            places = {place_of(bus_id) for bus_id in bus_ids}
            found = tuple(one for one in last.gpus if one.place in places)
        if last.is_fresh:
            return _together(found)
        return Gpus(len(found) or (last.driver_count if bus_ids is None else 0))


def _together(gpus: tuple[Gpu, ...]) -> Gpus:
    loads = [one.usage_percent for one in gpus if one.usage_percent is not None]
    totals = [one.memory_total for one in gpus if one.memory_total is not None]
    used = [one.memory_used for one in gpus if one.memory_used is not None]
    heat = [one.temperature for one in gpus if one.temperature is not None]

    def tell(told: list[int] | list[float]) -> bool:
        return 0 < len(gpus) == len(told)

    return Gpus(
        len(gpus),
        sum(loads) / len(loads) if tell(loads) else None,
        sum(totals) if tell(totals) else None,
        sum(used) if tell(used) else None,
        max(heat) if tell(heat) else None,
    )


def container_limit(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The most memory this container may use, in bytes; None where there is no limit."""
    try:
        text = (root / "memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and int(text) > 0 else None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
