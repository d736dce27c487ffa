"""GET /info: what the server can do, and how it is doing."""

from __future__ import annotations

from typing import Literal

from slipstream.http.codec import json_response
from slipstream.http.devices_in_use import gpus_in_use
from slipstream.http.machine import Gpus
from slipstream.http.routes.context import Context, mebibytes
from slipstream.http.routes.interfaces import SpeechFigures
from slipstream.http.schemas.core_info import (
    DeviceInfo,
    GpuMetrics,
    InfoAnswer,
    ServerAbilities,
    ServerPerformance,
    SystemMetrics,
    TtsCapabilities,
    TtsMetrics,
    TtsService,
)
from slipstream.http.types import Request, Response

_GIB = 1 << 30


def info(context: Context, request: Request) -> Response:
    """GET /info."""
    speech, gpus = context.speech_figures(), context.machine.gpus()
    return json_response(
        InfoAnswer(
            timestamp=context.clock.timestamp(),
            server_config=_abilities(context, speech, gpus),
            performance_metrics=_performance(context, speech, gpus),
            tts_service=_speech(speech),
            devices=_devices(context),
        )
    )


def _abilities(context: Context, speech: SpeechFigures, gpus: Gpus) -> ServerAbilities:
    settings = context.settings
    allowed = (settings.enable_compilation, settings.enable_quantization)
    level: Literal["high", "medium", "none"] = (
        "high" if all(allowed) else "medium" if any(allowed) else "none"
    )
    features = {
        "batch_processing": settings.max_batch_size > 1,
        "model_caching": settings.model_cache_size > 0 or settings.memory_limit_mb > 0,
        "prediction_caching": settings.prediction_cache_mb > 0,
        "auto_optimization": settings.enable_compilation,
        "tts_synthesis": speech.status != "unavailable",
        "gpu_acceleration": gpus.number > 0 or bool(gpus_in_use(context.engine)),
    }
    return ServerAbilities(
        optimization_level=level,
        caching_strategy="lru" if settings.prediction_cache_mb > 0 else "off",
        tts_backend=speech.backend,
        auto_optimization=settings.enable_compilation,
        server_features=[name for name, is_there in features.items() if is_there],
    )


def _performance(context: Context, speech: SpeechFigures, gpus: Gpus) -> ServerPerformance:
    memory = context.machine.memory()
    average_s = speech.average_synthesis_s
    return ServerPerformance(
        cache_hit_rate=context.answers.hit_rate,
        models_in_memory=sum(not model.is_resting for model in context.engine.models()),
        system_metrics=SystemMetrics(
            context.machine.cpu_percent(),
            round(100.0 * memory.used / memory.total, 2),
            round(memory.free / _GIB, 3),
        ),
        gpu_metrics=GpuMetrics(
            gpus.number > 0, gpus.number, mebibytes(gpus.memory_used), gpus.usage_percent
        ),
        tts_metrics=TtsMetrics(
            len(speech.loaded_models),
            None if average_s is None else round(average_s * 1e3, 3),
            speech.requests_total,
        ),
    )


def _devices(context: Context) -> DeviceInfo:
    present = [model for model in context.engine.models() if not model.is_resting]
    return DeviceInfo(
        context.settings.device,
        sum(bool(model.placement.devices) for model in present),
        sum(model.device_reason is not None for model in present),
    )


def _speech(speech: SpeechFigures) -> TtsService:
    return TtsService(
        speech.status,
        list(speech.voices),
        list(speech.languages),
        list(speech.loaded_models),
        TtsCapabilities(
            text_to_speech=speech.status != "unavailable",
            voice_cloning=False,
            emotion_synthesis=False,
            real_time=speech.is_real_time,
        ),
    )
