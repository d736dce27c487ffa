"""The first executions of a version, before it answers anybody.

Runtimes allocate, choose kernels and fault pages in at their first executions, and the core has yet
to learn what an execution costs; the first request should pay for neither. The rows are the
operator's (the model's sidecar), else some that the converter has asked the model itself, else
zeros. Only the operator's must succeed: what we made up may well be no input of that model.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from slipstream.api.resting import RestingCore
from slipstream.api.version import Version
from slipstream.engine.inputs import inputs_from
from slipstream.engine.runtime import CoreInputs
from slipstream.errors import (
    InferenceError,
    ModelLoadError,
    QueueFullError,
    SlipstreamError,
    UnavailableError,
)

BUDGET_S = 1.0
"""After it no execution begins, but for one on each instance."""
_MOST_ELEMENTS = 1 << 24
_MOST_ROWS = 64
_WITHOUT_THE_DEVICE = (QueueFullError, UnavailableError)
"""What fails where a device has no memory, or is lost: whatever the rows are."""
_log = logging.getLogger("slipstream.engine")


def warm_up(version: Version, file: Path, max_batch_rows: int, budget_s: float) -> None:
    """Executes what there is, on every instance.

    Args:
        version: Started, and not in service yet.
        file: The model's, for messages.
        max_batch_rows: Rows of its largest execution.
        budget_s: After that long no execution begins, but for one on each instance.

    Raises:
        ModelLoadError: the operator's rows fail.
        QueueFullError: its GPUs have no memory for an execution.
        UnavailableError: one of its GPUs is lost.
        InferenceError: its GPUs fail on rows that it takes, or a GPU that was only chosen for it
            fails on any.
    """
    declared = version.sidecar.warmup
    if declared is not None:
        try:
            _run(version, _decoded(version, declared.rows), budget_s)
        except SlipstreamError as error:
            if version.placement.devices and isinstance(error, _WITHOUT_THE_DEVICE):
                raise  # room can be made, and another device be tried
            raise ModelLoadError(
                f"{file.name} fails on its warm-up rows ({version.sidecar.source}): {error.message}"
            ) from error
    elif version.manifest.model_type != "custom":  # whose code may do anything with rows
        until_s = time.monotonic() + budget_s
        try:
            for inputs in _made_up(version, max_batch_rows):
                _run(version, inputs, until_s - time.monotonic())
                if time.monotonic() >= until_s:
                    return
        except SlipstreamError as error:
            if _is_of_the_device(version, error):
                raise
            _log.debug("%s is not warmed up: %s", file.name, error.message)


def _is_of_the_device(version: Version, error: SlipstreamError) -> bool:
    """Whether what a GPU answers to made-up rows keeps the model from it."""
    if not version.placement.devices:
        return False
    if isinstance(error, _WITHOUT_THE_DEVICE):
        return True
    # A kernel that the GPU lacks, or rows that the model does not take: who chose the GPU does as
    # well without it, and whoever asked for it has to know which of the two it was.
    are_taken = version.placement.is_chosen or bool(version.manifest.warmup_rows)
    return are_taken and isinstance(error, InferenceError)


def _run(version: Version, inputs: CoreInputs, budget_s: float) -> None:
    wanted = version.answers.wanted(
        predictions=True, probabilities=bool(version.manifest.probabilities)
    )
    assert not isinstance(version.core, RestingCore), "it was just started"
    inputs = version.completed(inputs, None)
    version.core.warm_up(inputs, outputs_wanted=wanted, budget_s=max(0.0, budget_s))


def _decoded(version: Version, rows: Any) -> CoreInputs:
    return version.decoder.decode(msgspec.json.encode(rows))


def _made_up(version: Version, max_batch_rows: int) -> Iterator[CoreInputs]:
    """One row, then a full batch where rows share executions."""
    rows = version.manifest.warmup_rows
    if rows:
        many = min(max_batch_rows, _MOST_ROWS)
        yield _decoded(version, rows[:1])
        yield _decoded(version, [rows[number % len(rows)] for number in range(many)])
        return
    known = version.manifest.example_shapes
    zeros = {
        name: _zeros(dtype, known.get(name, shape))
        for name, dtype, shape in version.signature.inputs
    }
    if version.signature.layout == "tensors":
        yield inputs_from(version.signature, zeros)
    elif version.signature.layout == "matrix":
        yield inputs_from(version.signature, next(iter(zeros.values())))


def _zeros(dtype: str, shape: tuple[int, ...]) -> Any:
    """An array of the least size that fits.

    Raises:
        ModelLoadError: there is none worth making.
    """
    least = tuple(extent if extent >= 0 else 1 for extent in shape)
    if int(np.prod(least, dtype=np.int64)) > _MOST_ELEMENTS or dtype == "bfloat16":
        raise ModelLoadError("no rows could be made up")
    return np.full(least, "", object) if dtype == "string" else np.zeros(least, dtype)
