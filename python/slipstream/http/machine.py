"""What the machine uses of itself, as far as that can be measured; None where it cannot.

Memory is the container's where that is smaller than the machine's, as health judges it. GPUs are
asked through NVML, where ``nvidia-ml-py`` and a driver are there.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from slipstream.gpu import nvml as management
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
    """Measures when asked. Any thread.

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
        self._nvml = management.begun()

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
    def can_ask_gpus(self) -> bool:
        """Whether there is NVML, without which `gpus` knows of none."""
        return self._nvml is not None

    def gpus(self, bus_ids: Collection[str] | None = None) -> Gpus:
        """Asked now; what a GPU does not tell is None.

        Args:
            bus_ids: Places on the PCI bus; None: all GPUs of the machine.
        """
        return Gpus(0) if self._nvml is None else _gpus(self._nvml, bus_ids)


def _gpus(nvml: Any, bus_ids: Collection[str] | None) -> Gpus:
    every, asked = management.handles(nvml, bus_ids), management.asked
    loads = [asked(nvml, nvml.nvmlDeviceGetUtilizationRates, one) for one in every]
    memory = [asked(nvml, nvml.nvmlDeviceGetMemoryInfo, one) for one in every]
    heat = [
        asked(nvml, nvml.nvmlDeviceGetTemperature, one, nvml.NVML_TEMPERATURE_GPU) for one in every
    ]
    tells = bool(every)
    return Gpus(
        len(every),
        sum(one.gpu for one in loads) / len(loads) if tells and None not in loads else None,
        sum(one.total for one in memory) if tells and None not in memory else None,
        sum(one.used for one in memory) if tells and None not in memory else None,
        float(max(heat)) if tells and None not in heat else None,
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
