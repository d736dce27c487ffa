"""Which devices this process could compute on, beside its processors."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import msgspec

from slipstream.device_names import numbers_of, parse_device
from slipstream.engine.runtime import cuda_status, pinned_array
from slipstream.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy.typing as npt


_MOST_BYTES = (1 << 63) - 1
_MOST_DEVICES = 999  # as in names of devices


class CudaDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One NVIDIA device. What is free of its memory is not known before something runs on it."""

    index: int
    """As CUDA counts them in this process: ``CUDA_VISIBLE_DEVICES`` chooses and orders."""
    name: str
    compute_capability: str
    """Of its architecture: ``"9.0"``."""
    total_memory_bytes: int
    multiprocessors: int
    copy_engines: int
    """How many copies can be in progress beside a computation."""
    pci_bus_id: str


class Devices(msgspec.Struct, frozen=True, kw_only=True):
    """Whether CUDA can be used here, and on what."""

    cuda_available: bool
    reason: str | None
    """Why CUDA cannot be used, and what helps; None when it can."""
    driver_cuda_version: str | None
    """The newest CUDA that the driver speaks (``"13.0"``); None when CUDA cannot be used."""
    cuda: tuple[CudaDevice, ...]
    """At least one when CUDA can be used; none otherwise."""


def devices() -> Devices:
    """The devices of this machine that slipstream could use; never raises where there are none.

    The first call starts NVIDIA's driver in this process, if there is one, and allocates nothing on
    any device. A process that is forked afterwards, and runs no new program, cannot use CUDA.
    """
    status = cuda_status()
    number = status["driver_cuda_version"]
    version = None if number is None else f"{number // 1000}.{number % 1000 // 10}"
    return Devices(
        cuda_available=status["reason"] is None,
        reason=status["reason"],
        driver_cuda_version=version,
        cuda=tuple(
            CudaDevice(
                index=one["index"],
                name=one["name"],
                compute_capability=".".join(map(str, one["compute_capability"])),
                total_memory_bytes=one["total_memory_bytes"],
                multiprocessors=one["multiprocessors"],
                copy_engines=one["copy_engines"],
                pci_bus_id=one["pci_bus_id"],
            )
            for one in status["devices"]
        ),
    )


def pinned_empty(
    shape: SupportsIndex | Sequence[SupportsIndex],
    dtype: npt.DTypeLike = "float32",
    *,
    device: SupportsIndex | str = 0,
) -> npt.NDArray[Any]:
    """An uninitialised array in page-locked host memory, which GPUs copy from by themselves.

    Rows in such an array (or in slices of it) reach a model on a GPU without being gathered first,
    where a request has 64 KiB of them or more; results are the same as for any other array. To lock
    memory takes milliseconds and takes it from everybody else: make arrays once and fill them again
    when their requests are answered.

    Args:
        shape: As of `numpy.empty`, C-contiguous.
        dtype: Of fixed size; not object.
        device: Whose context keeps the memory, as a number or as ``"cuda:1"``. Every other device
            may copy from it, too.

    Raises:
        ValueError: a dtype whose values are objects.
        InvalidInputError: no array can have that shape, or that names no device.
        ModelLoadError: there is no usable GPU, or not that one.
        QueueFullError: so much memory cannot be locked.
    """
    import numpy as np

    kind = np.dtype(dtype)
    if kind.hasobject:
        raise ValueError(f"dtype {kind} holds objects of Python, which no device copies")
    return pinned_array(_shape_of(shape, kind.itemsize), kind, _number_of(device))


def _shape_of(shape: Any, item_bytes: int) -> tuple[int, ...]:
    """As many integers as the core takes, and an array of them that could exist.

    Raises:
        InvalidInputError: see `pinned_empty`.
    """
    said = repr(shape)[:100]
    given = shape if isinstance(shape, Iterable) and not isinstance(shape, str) else (shape,)
    try:
        extents = tuple(operator.index(extent) for extent in given)
    except TypeError:
        raise InvalidInputError(
            f"'shape' is not valid: {said}; it takes an integer, or a tuple of them", key="shape"
        ) from None
    if any(extent < 0 for extent in extents):
        raise InvalidInputError(f"'shape' is not valid: {said} has a negative extent", key="shape")
    if max(0, *extents, math.prod(extents) * max(1, item_bytes)) > _MOST_BYTES:
        raise InvalidInputError(
            f"'shape' is not valid: {said} is more than any memory has", key="shape"
        )
    return extents


def _number_of(device: SupportsIndex | str) -> int:
    try:
        [number] = numbers_of(parse_device(device)) if isinstance(device, str) else [device]
        number = operator.index(number)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= _MOST_DEVICES:
        raise InvalidInputError(
            f"'device' is not valid: {str(device)[:100]!r}; it takes a GPU's number, or cuda:N",
            key="device",
        )
    return number
