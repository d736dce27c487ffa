"""Starts a version where it was placed: with room made on a full GPU, or else on the processor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from slipstream.api.placement import ON_CPU, Placement
from slipstream.errors import LoadCancelledError, QueueFullError, SlipstreamError
from slipstream.gpu import gpus
from slipstream.models.prepare import Prepared

T = TypeVar("T")
_MIB = 1 << 20
_log = logging.getLogger("slipstream.engine")


def start_placed(
    placement: Placement,
    prepared: Prepared,
    name: str,
    *,
    start: Callable[[Placement], T],
    make_room: Callable[[Placement], bool],
) -> T:
    """What ``start`` makes, at the placement or, where that was only chosen, on the processor.

    Args:
        placement: Where it is to be.
        prepared: What is started, for messages.
        name: Of the model's file, likewise.
        start: Starts it somewhere. `QueueFullError` says that there is no memory.
        make_room: Has another model leave these GPUs; False: none may.

    Raises:
        QueueFullError: there is no memory, also after every idle model has left.
        SlipstreamError: what ``start`` raises.
    """
    if not placement.devices:
        return start(placement)
    try:
        return _with_room(
            *(placement, start, make_room),
            refuse=lambda error: _too_large(placement, prepared, name, error),
        )
    except LoadCancelledError:
        raise
    except SlipstreamError as error:
        if not placement.is_chosen:
            raise
        reason = f"{placement.device} was chosen, and did not take it: {error.message}"
        reason = reason.replace(str(prepared.artifact_path), name)
    made = start(ON_CPU._replace(reason=reason))
    _log.warning("%s computes on the cpu: %s", name, reason)
    return made


def _with_room(
    placement: Placement,
    start: Callable[[Placement], T],
    make_room: Callable[[Placement], bool],
    refuse: Callable[[QueueFullError], QueueFullError],
) -> T:
    while True:
        try:
            return start(placement)
        except QueueFullError as error:
            refusal = refuse(error)
        if not make_room(placement):
            raise refusal


def _too_large(
    placement: Placement, prepared: Prepared, name: str, error: QueueFullError
) -> QueueFullError:
    free = {
        one.index: gpus.free_bytes(one)
        for one in gpus.survey().cuda
        if one.index in placement.devices
    }
    least = min((size for size in free.values() if size is not None), default=None)
    free_mb = None if least is None else round(least / _MIB)
    size_mb = round(prepared.size_bytes / _MIB, 1)
    told = "an unknown amount (nvidia-ml-py tells it)" if free_mb is None else f"{free_mb} MiB"
    said = error.message.replace(str(prepared.artifact_path), name)
    return QueueFullError(
        f"{name} ({size_mb:g} MiB, and what it computes with) does not fit on {placement.device}, "
        f"where {told} is free and no idle model could leave: {said}; unload a model there, or "
        "name another device",
        device=placement.device,
        model_size_mb=size_mb,
        free_mb=free_mb,
    )
