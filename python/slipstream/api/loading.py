"""From a model file to a version that runs: the steps that loading, reloading and tuning share."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import msgspec

from slipstream.api.gpu_options import gpu_options
from slipstream.api.loads import Load
from slipstream.api.memory import resident_bytes, worker_bytes
from slipstream.api.model import LoadOptions
from slipstream.api.placement import ON_CPU, Placement, gpu_to_build_on
from slipstream.api.plan_check import require_runnable
from slipstream.api.tuning import Tuning
from slipstream.api.version import Version, version_of
from slipstream.api.warmup import warm_up
from slipstream.engine.runtime import CoreEngine, backend_options
from slipstream.errors import InvalidInputError, ModelLoadError, QuantizationError, SlipstreamError
from slipstream.gpu import provider_cache
from slipstream.ids import require_id
from slipstream.models.artifacts import sha256_of
from slipstream.models.declared import Declared
from slipstream.models.manifest import Manifest
from slipstream.models.prepare import Prepared, PrepareOptions, check_digest, prepare
from slipstream.models.sidecar import Sidecar
from slipstream.quantize.artifact import quantized
from slipstream.settings import Settings

QUEUE_CAPACITY = 1024
"""Requests of one priority that may wait for a model."""


def checked_id(model_id: str | None, file: Path) -> str:
    """The id that a model gets: the one that was asked for, or one derived from its file.

    Raises:
        InvalidInputError: not of the documented form.
    """
    if model_id is None:  # the same path gets the same one in every process
        return f"model_{hashlib.sha256(os.fsencode(file)).hexdigest()[:10]}"
    require_id(model_id, "model_id")
    return model_id


def user_cache_dir() -> Path:
    """Where in-process engines keep artifacts (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "slipstream"


def prepared_of(
    settings: Settings,
    file: Path,
    options: LoadOptions,
    tuning: Tuning,
    load: Load | None = None,
) -> Prepared:
    """The artifact of a model file, quantized where the tuning says so; blocks.

    Args:
        settings: Of the engine.
        file: The model file.
        options: How it is loaded.
        tuning: How it is to run.
        load: Is told how far it is, and may be cancelled meanwhile; None: nobody watches.

    Raises:
        ModelLoadError, InvalidInputError: as `slipstream.Engine.load`.
        QuantizationError: it cannot be quantized, or loses more than the tuning allows.
        UnavailableError: the load was cancelled.
    """
    require_runnable(file, options.model_type, tuning, settings)
    is_stopped = None if load is None else load.is_cancelled
    prepared = prepare(
        file,
        settings.state_path / "artifacts",
        PrepareOptions(
            model_type=options.model_type,
            compile_model=options.compile_model and settings.enable_compilation,
            allow_custom_code=settings.allow_custom_code,
            ensemble_method=options.ensemble_method,
            model_dir=settings.model_dir if options.walled else None,
            sha256=options.declared.sha256,
            states=options.declared.states,
            progress=None if load is None else load.tell,
            is_stopped=is_stopped,
            gpu=lambda own: gpu_to_build_on(own, file.name, tuning, settings.device),
        ),
    )
    if options.compile_model and not settings.enable_compilation:
        prepared = _with_reason(prepared, "compilation is turned off (ENABLE_COMPILATION)")
    wanted = tuning.quantization
    if wanted is None:
        return prepared
    made, told = quantized(prepared, wanted, rows_folder(settings), is_stopped=is_stopped)
    if told.accuracy_loss_percent > wanted.max_accuracy_loss_percent:
        raise QuantizationError(
            f"{file.name} loses {told.accuracy_loss_percent:g} % in {wanted}, more than the "
            f"{wanted.max_accuracy_loss_percent:g} % allowed when the model was quantized: unload "
            "and load it to have it in its own precision",
            accuracy_loss_percent=told.accuracy_loss_percent,
            max_accuracy_loss_percent=wanted.max_accuracy_loss_percent,
        )
    return made


def require_digest(file: Path, declared: Declared) -> None:
    """Refuses a file that is not the one that was declared.

    Raises:
        ModelLoadError: it has another digest; names both.
    """
    if declared.sha256 is not None:
        check_digest(file, sha256_of(file), declared.sha256)


def rows_folder(settings: Settings) -> Path:
    """Where calibration rows are kept: with the state, for reloads need them."""
    return settings.state_path / "calibration"


def _options(
    prepared: Prepared, settings: Settings, instances: int, tuning: Tuning, placement: Placement
) -> dict[str, str]:
    """What the backend is told; what comes later goes before."""
    manifest = prepared.manifest
    return (
        backend_options(manifest.backend, settings, instances)
        | manifest.backend_options
        | tuning.backend_options(manifest.backend)
        | gpu_options(prepared, tuning, placement, settings)
    )


def _engines_of(options: dict[str, str]) -> Path | None:
    folder = options.get("cache_folder")
    return None if folder is None else Path(folder)


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
    sidecar: Sidecar,
    warmup_s: float,
    placement: Placement = ON_CPU,
) -> Version:
    """A version of that artifact, running, warm, and not entered anywhere.

    Args:
        core: Runs it.
        settings: Of the engine.
        model_id: What the core calls it.
        file: Named in messages.
        prepared: The artifact.
        instances: Executions side by side.
        tuning: How it runs.
        began: When loading began, by the monotonic clock.
        sidecar: What the operator says of the model.
        warmup_s: After that long no execution of the warm-up begins.
        placement: Where it computes.

    Raises:
        ModelLoadError: the backend refuses the artifact, or the operator's rows fail.
        QueueFullError: there is no memory for it.
    """
    manifest, path = prepared.manifest, str(prepared.artifact_path)
    artifacts = [prepared.artifact_path] if manifest.backend == "process" else []
    others = worker_bytes(artifacts)  # of a version that this one is to replace
    before_bytes = resident_bytes(with_children=False)
    options = _options(prepared, settings, instances, tuning, placement)
    try:
        with provider_cache.used(_engines_of(options)) as keep:
            model = core.load(
                name=model_id,
                backend=manifest.backend,
                path=path,
                options=options,
                instances=instances,
                max_instances=max(instances, settings.max_workers),
                max_batch_rows=tuning.max_batch_rows or settings.max_batch_size,
                batching=sidecar.batching,
                queue_capacity=QUEUE_CAPACITY,
                worker_nice=settings.worker_nice,
            )
            keep(model)
    except InvalidInputError as error:  # of the artifact, whose path is nobody's business
        raise ModelLoadError(error.message.replace(path, file.name)) from error
    except ModelLoadError as error:
        raise type(error)(error.message.replace(path, file.name), **error.details) from error
    try:
        version = version_of(model, manifest, prepared.folder, sidecar)
        version = version._replace(placement=placement)
        warm_up(version, file, tuning.max_batch_rows or settings.max_batch_size, warmup_s)
    except SlipstreamError:
        model.close(0.0)
        raise
    grown_bytes = _grown(before_bytes, artifacts, others)
    return version._replace(load_time_s=time.monotonic() - began, memory_usage_bytes=grown_bytes)


def _grown(before_bytes: int, artifacts: list[Path], others: dict[int, int]) -> int | None:
    """Memory that came with a version, of its workers where it has some; None: none was seen."""
    grown_bytes = resident_bytes(with_children=False) - before_bytes
    if artifacts:
        own = worker_bytes(artifacts)
        grown_bytes = sum(size for worker, size in own.items() if worker not in others)
    return grown_bytes if grown_bytes > 0 else None


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
