"""Quantizing a loaded model: made beside it, measured against it, swapped in if it loses little."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from slipstream.api.loading import rows_folder
from slipstream.api.timing import interleaved_s
from slipstream.api.tuning import Tuning
from slipstream.engine.row_inputs import arrays_of, single_rows
from slipstream.engine.runtime import CoreInputs
from slipstream.errors import (
    InvalidInputError,
    ModelBusyError,
    QuantizationError,
)
from slipstream.models.manifest import Quantized
from slipstream.models.prepare import Prepared
from slipstream.quantize import rows as row_sets
from slipstream.quantize.artifact import ROWS_FILE, artifact_bytes, quantized
from slipstream.quantize.options import QuantizeOptions

if TYPE_CHECKING:
    from slipstream.api.engine import Engine
    from slipstream.api.model import LoadOptions, Model

_MEASURING_S = 1.0
_MOST_REQUESTS = 64
_MOST_KEPT_ROWS = 32
"""Sets of calibration rows that no loaded model uses: of dry runs, and of unloaded models."""
_ADVICE = {
    "generated": ". Generated rows are noise, about which models waver more than about real ones: "
    "give rows of yours as calibration_data",
    "calibration": "",
}


class QuantizationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a quantization gives and takes; everything is measured."""

    quantized: Quantized
    size_before_bytes: int
    size_after_bytes: int
    latency_before_s: float
    """Median time of one row (one request, where the model takes no batches)."""
    latency_after_s: float
    max_accuracy_loss_percent: float
    applied: bool

    @property
    def size_reduction_percent(self) -> float:
        """Of what the backend loads."""
        return round(100.0 * (1 - self.size_after_bytes / max(1, self.size_before_bytes)), 2)

    @property
    def speed_improvement_percent(self) -> float:
        """How many more single rows it answers in the same time; below 0 where it is slower."""
        return round(100.0 * (self.latency_before_s / max(self.latency_after_s, 1e-12) - 1), 2)

    @property
    def is_within_limit(self) -> bool:
        """Whether no more is lost than is allowed."""
        return self.quantized.accuracy_loss_percent <= self.max_accuracy_loss_percent

    def figures(self) -> dict[str, float | int | str]:
        """By the names of the HTTP API."""
        return {
            "size_reduction_percent": self.size_reduction_percent,
            "speed_improvement_percent": self.speed_improvement_percent,
            "accuracy_loss_percent": self.quantized.accuracy_loss_percent,
            "max_accuracy_loss_percent": self.max_accuracy_loss_percent,
            "rows": self.quantized.rows,
            "rows_source": self.quantized.rows_source,
        }


def quantize(
    engine: Engine,
    model: Model,
    options: QuantizeOptions,
    *,
    dry_run: bool = False,
) -> QuantizationReport:
    """Quantizes a loaded model and swaps it in; blocks, while the model goes on answering.

    The original is the file that was loaded, so quantizing a quantized model begins afresh.
    Reloads quantize again, with the same options.

    Args:
        engine: Has the model.
        model: Of backend ``onnx``.
        options: Type, mode, rows (of `keep_rows`), how much may be lost.
        dry_run: Only measure.

    Raises:
        QuantizationError: it cannot be quantized, loses more than is allowed (``details`` has the
            figures), or the operator does not want it.
        InvalidInputError: the options contradict themselves, or the rows do not suit the model.
        ModelBusyError: the file, or the model, was changed meanwhile.
        MissingDependencyError: a package is not installed.
    """
    require_allowed(engine)
    options.check()
    before, tuning = model.version, model.tuning
    plain = msgspec.structs.replace(tuning, quantization=None)
    original = prepared_again(engine, model, plain)
    made, told = quantized(original, options, rows_folder(engine.settings))
    latencies = _compared(engine, model, plain, original, made)
    report = QuantizationReport(
        quantized=told,
        size_before_bytes=artifact_bytes(original.folder),
        size_after_bytes=artifact_bytes(made.folder),
        latency_before_s=latencies[0],
        latency_after_s=latencies[1],
        max_accuracy_loss_percent=options.max_accuracy_loss_percent,
        applied=False,
    )
    if dry_run:
        return report
    if not report.is_within_limit:
        raise QuantizationError(
            f"{options} would lose {told.accuracy_loss_percent:g} % on {told.rows} "
            f"{told.rows_source} rows, more than the {options.max_accuracy_loss_percent:g} % of "
            "max_accuracy_loss_percent; the model stays as it is" + _ADVICE[told.rows_source],
            **report.figures(),
        )
    changed = msgspec.structs.replace(tuning, quantization=options)
    with engine.beside(model, made, changed, began=time.monotonic()) as beside:
        engine.swap(beside, still=lambda: model.version.serial == before.serial)
    return msgspec.structs.replace(report, applied=True)


def require_allowed(engine: Engine) -> None:
    """Refuses where the operator has turned quantization off.

    Raises:
        QuantizationError: it is off.
    """
    if not engine.settings.enable_quantization:
        raise QuantizationError("quantization is turned off (ENABLE_QUANTIZATION=False)")


def prepared_again(
    engine: Engine, model: Model, tuning: Tuning, options: LoadOptions | None = None
) -> Prepared:
    """An artifact of the model's file, if that is still the file that was loaded.

    Args:
        engine: Has the model.
        model: Whose file.
        tuning: What it becomes beyond that.
        options: How to load it; None: as it was.

    Raises:
        ModelBusyError: the file has changed since.
        SlipstreamError: as `slipstream.Engine.load`.
    """
    original = engine.prepared(model, options or model.load_options, tuning)
    if original.manifest.source_sha256 != model.manifest.source_sha256:
        raise ModelBusyError(
            f"{model.file.name} has changed since model {model.model_id!r} was loaded: reload it "
            "first, so that nothing new is served by surprise",
            model_id=model.model_id,
        )
    return original


def keep_rows(engine: Engine, model: Model, inputs: CoreInputs) -> str:
    """Keeps calibration rows with the state; returns their digest, for `QuantizeOptions`.

    Raises:
        InvalidInputError: more rows than are taken.
    """
    arrays = arrays_of(inputs)
    count = row_sets.count(model.signature.inputs, arrays)
    if count > row_sets.MOST_ROWS:
        raise InvalidInputError(
            f"calibration_data has {count} rows; it takes at most {row_sets.MOST_ROWS}: a random "
            "choice of some hundred serves as well",
            key="calibration_data",
        )
    folder = rows_folder(engine.settings)
    digest = row_sets.keep(arrays, folder)
    chosen = [one.tuning.quantization for one in engine.models()]
    in_use = {digest, *(one.rows for one in chosen if one is not None and one.rows is not None)}
    row_sets.forget(folder, in_use, _MOST_KEPT_ROWS)
    return digest


def _compared(
    engine: Engine, model: Model, plain: Tuning, original: Prepared, made: Prepared
) -> tuple[float, float]:
    """Median seconds of one row before and after, on versions of their own, in turns."""
    alone = msgspec.structs.replace(plain, instances=1)
    rows = row_sets.read(made.folder / ROWS_FILE)
    with (
        engine.beside(model, original, alone) as before,
        engine.beside(model, made, alone, is_nested=True) as after,
    ):
        versions = (before.version, after.version)
        requests = single_rows(versions[0].running, versions[0].signature, rows, _MOST_REQUESTS)
        times = interleaved_s(versions, requests, _MEASURING_S)
    return float(np.median(times[0])), float(np.median(times[1]))
