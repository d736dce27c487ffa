"""From a model file to a version that runs: the steps that loading, reloading and tuning share."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from slipstream.api.memory import resident_bytes
from slipstream.api.model import LoadOptions
from slipstream.api.tuning import Tuning
from slipstream.api.version import Version, version_of
from slipstream.engine.runtime import CoreEngine, backend_options
from slipstream.errors import InvalidInputError, ModelLoadError, QuantizationError
from slipstream.models.manifest import Manifest
from slipstream.models.prepare import Prepared, PrepareOptions, prepare
from slipstream.quantize.artifact import quantized
from slipstream.settings import Settings

_QUEUE_CAPACITY = 1024


def prepared_of(settings: Settings, file: Path, options: LoadOptions, tuning: Tuning) -> Prepared:
    """The artifact of a model file, quantized where the tuning says so; blocks.

    Raises:
        ModelLoadError, InvalidInputError: as `slipstream.Engine.load`.
        QuantizationError: it cannot be quantized, or loses more than the tuning allows.
    """
    prepared = prepare(
        file,
        settings.state_path / "artifacts",
        PrepareOptions(
            model_type=options.model_type,
            compile_model=options.compile_model and settings.enable_compilation,
            allow_custom_code=settings.allow_custom_code,
            ensemble_method=options.ensemble_method,
            model_dir=settings.model_dir if options.walled else None,
        ),
    )
    if options.compile_model and not settings.enable_compilation:
        prepared = _with_reason(prepared, "compilation is turned off (ENABLE_COMPILATION)")
    wanted = tuning.quantization
    if wanted is None:
        return prepared
    made, told = quantized(prepared, wanted, rows_folder(settings))
    if told.accuracy_loss_percent > wanted.max_accuracy_loss_percent:
        raise QuantizationError(
            f"{file.name} loses {told.accuracy_loss_percent:g} % in {wanted}, more than the "
            f"{wanted.max_accuracy_loss_percent:g} % allowed when the model was quantized: unload "
            "and load it to have it in its own precision",
            accuracy_loss_percent=told.accuracy_loss_percent,
            max_accuracy_loss_percent=wanted.max_accuracy_loss_percent,
        )
    return made


def rows_folder(settings: Settings) -> Path:
    """Where calibration rows are kept: with the state, for reloads need them."""
    return settings.state_path / "calibration"


def started(
    core: CoreEngine,
    settings: Settings,
    model_id: str,
    file: Path,
    prepared: Prepared,
    *,
    instances: int,
    tuning: Tuning,
    began: float,
) -> Version:
    """A version of that artifact, running and not entered anywhere.

    Args:
        core: Runs it.
        settings: Of the engine.
        model_id: What the core calls it.
        file: Named in messages.
        prepared: The artifact.
        instances: Executions side by side.
        tuning: How it runs.
        began: When loading began, by the monotonic clock.

    Raises:
        ModelLoadError: the backend refuses the artifact.
    """
    manifest = prepared.manifest
    before_bytes = resident_bytes()
    try:
        model = core.load(
            name=model_id,
            backend=manifest.backend,
            path=str(prepared.artifact_path),
            options=backend_options(manifest.backend, settings)
            | manifest.backend_options
            | tuning.backend_options(manifest.backend),
            instances=instances,
            max_batch_rows=tuning.max_batch_rows or settings.max_batch_size,
            queue_capacity=_QUEUE_CAPACITY,
            worker_nice=settings.worker_nice,
        )
    except InvalidInputError as error:  # of the artifact, whose path is nobody's business
        text = error.message.replace(str(prepared.artifact_path), file.name)
        raise ModelLoadError(text) from error
    grown_bytes = resident_bytes() - before_bytes
    try:
        return version_of(
            model,
            manifest,
            prepared.folder,
            load_time_s=time.monotonic() - began,
            memory_usage_bytes=grown_bytes if grown_bytes > 0 else None,
        )
    except ModelLoadError:
        model.close(0.0)
        raise


def _with_reason(prepared: Prepared, reason: str) -> Prepared:
    if prepared.manifest.compiled:  # an ONNX file is what it is
        return prepared
    manifest: Manifest = msgspec.structs.replace(prepared.manifest, reason=reason)
    return msgspec.structs.replace(prepared, manifest=manifest)


def check_ensemble(manifest: Manifest, file: Path, method: str | None) -> None:
    """Refuses a model that is not the ensemble it was said to be.

    Raises:
        ModelLoadError: it is another one, or none.
    """
    if method is None:
        return
    estimator = manifest.estimator or manifest.model_type
    if not estimator.lower().startswith(method):
        raise ModelLoadError(
            f"{file.name} holds a {estimator}, no {method} ensemble: leave ensemble_method out, or "
            "name the one it is",
            key="ensemble_method",
        )
