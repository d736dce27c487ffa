"""Loading, listing, inspecting, reloading and unloading models."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from slipstream.errors import InvalidInputError
from slipstream.http.clock import format_time
from slipstream.http.codec import JsonBody, json_response
from slipstream.http.lane_call import LaneCall
from slipstream.http.routes.context import Context, mebibytes
from slipstream.http.schemas.models import (
    EnsembleMember,
    ListedModel,
    LoadAnswer,
    LoadRequest,
    ModelInfo,
    ModelList,
    ModelMetricsAnswer,
    UnloadAnswer,
    VariantMetrics,
)
from slipstream.http.types import Pending, Request, Response

if TYPE_CHECKING:
    from slipstream.api import Model
    from slipstream.api.drawn import Drawn
    from slipstream.api.version import Member

_load_body = JsonBody(LoadRequest)
_log = logging.getLogger("slipstream.http.models")


def load(context: Context, request: Request) -> Pending:
    """POST models/load: answers when the model can answer."""
    from slipstream.api.placement import checked_tuning  # here: as the engine is
    from slipstream.api.tuning import GPU_WORDS, Tuning

    wanted = _load_body(request)
    for key in ("model_path", "model_type"):
        text: str = getattr(wanted, key)
        if not text.strip() or "\0" in text:
            raise InvalidInputError(f"'{key}' is not valid: {text!r}", key=key)

    words = Tuning(device=wanted.device, **{key: getattr(wanted, key) for key in GPU_WORDS})
    tuning = checked_tuning(words, plugins=context.settings.gpu_provider_plugins)

    def work() -> Response:
        model = context.engine.load(
            wanted.model_path,
            wanted.model_type,
            model_id=wanted.model_id,
            compile_model=wanted.compile_model,
            ensemble_method=wanted.ensemble_method,
            walled=True,
            remember=True,
            cache_predictions=wanted.cache_predictions,
            tuning=tuning,
            priority=wanted.priority,
        )
        _note(request, "loaded", model.model_id, model.load_time_s)
        return _loaded(model, "Model loaded successfully")

    return LaneCall(context.load_lane, work, request, context.clock)


def reload(context: Context, request: Request) -> Pending:
    """POST models/{model_id}/reload: the file is read again, the id stays."""

    def work() -> Response:
        model = context.engine.reload(request.params["model_id"])
        _note(request, "reloaded", model.model_id, model.load_time_s)
        return _loaded(model, "Model reloaded successfully")

    return LaneCall(context.load_lane, work, request, context.clock)


def _note(request: Request, what: str, model_id: str, took_s: float | None = None) -> None:
    """Logs what became of a model, and by which request."""
    duration_ms = None if took_s is None else round(took_s * 1e3, 3)
    fields = {"request_id": request.request_id, "model_id": model_id, "duration_ms": duration_ms}
    _log.info("model '%s' was %s", model_id, what, extra=fields)


def _loaded(model: Model, message: str) -> Response:
    return json_response(
        LoadAnswer(
            message=message,
            model_id=model.model_id,
            model_type=model.model_type,
            compiled=model.compiled,
            load_time=round(model.load_time_s, 6),
            model_size_mb=mebibytes(model.model_size_bytes) or 0.0,
            loaded_at=format_time(model.loaded_at),
            device=model.device,
            reason=UNSET if model.reason is None else model.reason,
            device_reason=UNSET if model.device_reason is None else model.device_reason,
        )
    )


def unload(context: Context, request: Request) -> Response:
    """DELETE models/{model_id}: requests in progress are answered first.

    While the model is still being loaded, its load is cancelled.
    """
    model_id = request.params["model_id"]
    if context.engine.cancel_load(model_id):
        _note(request, "not loaded: cancelled", model_id)
        return json_response(UnloadAnswer("Model load cancelled", model_id, None))
    freed_mb = context.engine.unload(model_id)
    _note(request, "unloaded", model_id)
    return json_response(UnloadAnswer("Model unloaded successfully", model_id, freed_mb))


def list_models(context: Context, request: Request) -> Response:
    """GET models/list."""
    models = context.engine.models()
    sizes = [model.memory_usage_bytes for model in models]
    known = [size for size in sizes if size is not None]
    rows = [
        ListedModel(
            model_id=model.model_id,
            model_type=model.model_type,
            compiled=model.compiled,
            loaded_at=format_time(model.loaded_at),
            inference_count=model.metrics().inference_count,
            state=model.state,
        )
        for model in models
    ]
    total = mebibytes(sum(known)) if len(known) == len(sizes) else None
    return json_response(ModelList(rows, len(rows), total))


def info(context: Context, request: Request) -> Response:
    """GET models/{model_id}/info."""
    model = context.engine.model(request.params["model_id"])
    counted = model.metrics()
    return json_response(
        ModelInfo(
            model_id=model.model_id,
            model_type=model.model_type,
            model_path=model.model_path,
            compiled=model.compiled,
            loaded_at=format_time(model.loaded_at),
            last_used=None if counted.last_used is None else format_time(counted.last_used),
            inference_count=counted.inference_count,
            average_inference_time=counted.average_inference_time_s,
            model_size_mb=mebibytes(model.model_size_bytes) or 0.0,
            memory_usage_mb=mebibytes(model.memory_usage_bytes),
            backend=model.backend,
            state=model.state,
            device=model.device,
            reason=UNSET if model.reason is None else model.reason,
            device_reason=UNSET if model.device_reason is None else model.device_reason,
            quantization=UNSET if model.quantization is None else model.quantization,
            ensemble_method=(model.manifest.estimator or UNSET) if model.members else UNSET,
            members=[_member(member) for member in model.members] or UNSET,
        )
    )


def _member(member: Member) -> EnsembleMember:
    manifest = member.version.manifest
    return EnsembleMember(
        name=member.name,
        model_type=manifest.model_type,
        backend=manifest.backend,
        compiled=manifest.compiled,
        weight=member.weight,
        model_id=member.model_id or UNSET,
        model_path=member.model_path or UNSET,
    )


def metrics(context: Context, request: Request) -> Response:
    """GET models/{model_id}/metrics; ``error_rate`` is errors over all requests that ran."""
    model = context.engine.model(request.params["model_id"])
    counted = model.metrics()
    ran = counted.inference_count + counted.error_count
    return json_response(
        ModelMetricsAnswer(
            model_id=model.model_id,
            inference_count=counted.inference_count,
            average_inference_time=counted.average_inference_time_s,
            total_inference_time=counted.total_inference_time_s,
            last_inference_time=counted.last_inference_time_s,
            error_count=counted.error_count,
            error_rate=counted.error_count / ran if ran else 0.0,
            throughput_per_second=counted.throughput_per_second,
            memory_usage_mb=mebibytes(model.memory_usage_bytes),
            variant=_variant(model.drawn),
        )
    )


def _variant(drawn: Drawn) -> VariantMetrics | UnsetType:
    if not (drawn.answered or drawn.failed):
        return UNSET
    mean_s = drawn.time_s / drawn.answered if drawn.answered else None
    return VariantMetrics(drawn.answered, drawn.failed, mean_s)
