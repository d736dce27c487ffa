"""The part of the compiled core that knows NVIDIA's devices."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

class CudaDeviceStatus(TypedDict):
    """One device, told without making a context on it."""

    index: int
    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    copy_engines: int
    total_memory_bytes: int
    pci_bus_id: str

class CudaStatus(TypedDict):
    """Whether CUDA can be used here: ``reason`` is None then, and there is a device."""

    reason: str | None
    driver_cuda_version: int | None
    """13000 is CUDA 13.0."""
    devices: list[CudaDeviceStatus]

def cuda_status() -> CudaStatus:
    """Starts the driver in this process, once; children that fork afterwards cannot use CUDA."""

def pinned_array(shape: Sequence[int], dtype: np.dtype[Any], device: int = 0) -> npt.NDArray[Any]:
    """An uninitialised array, C-contiguous, in page-locked memory that lives as long as its views.

    Raises what `slipstream.pinned_empty` documents.
    """
