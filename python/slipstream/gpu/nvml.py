"""NVIDIA's management library, which tells what GPUs are doing without using any of them.

It comes with ``nvidia-ml-py`` (the module ``pynvml``) and a driver. It counts GPUs in an order of
its own, which no ``CUDA_VISIBLE_DEVICES`` changes, so one is found by its place on the PCI bus.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable
from typing import Any


@functools.cache
def begun() -> Any:
    """The library, begun once in a process; None where there is none, or no driver."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    return nvml


def asked(nvml: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the library answers; None where it cannot."""
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


def handles(nvml: Any, bus_ids: Iterable[str] | None = None) -> list[Any]:
    """The GPUs at these places, as far as the library knows them; None: every one.

    One that has fallen off the bus is still counted, and refuses to be found: it is left out.
    """
    if bus_ids is None:
        count = asked(nvml, nvml.nvmlDeviceGetCount) or 0
        found = [asked(nvml, nvml.nvmlDeviceGetHandleByIndex, index) for index in range(count)]
    else:
        find = nvml.nvmlDeviceGetHandleByPciBusId
        found = [asked(nvml, find, bus_id.encode()) for bus_id in bus_ids]
    return [one for one in found if one is not None]


def free_bytes(nvml: Any, bus_id: str) -> int | None:
    """Memory that nobody uses on the GPU at this place; None where that is not told."""
    for handle in handles(nvml, [bus_id]):
        memory = asked(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
        return None if memory is None else int(memory.free)
    return None
