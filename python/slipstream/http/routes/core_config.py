"""GET /config: the configuration in force, without its secrets.

It is open to everybody, as the document of this API has it: so secrets are told only as set or not,
whatever they are (`slipstream.setting_options.Option.secret`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from slipstream.http.clock import format_time
from slipstream.http.codec import json_response
from slipstream.http.devices_in_use import gpus_in_use
from slipstream.http.routes.context import Context, mebibytes
from slipstream.http.schemas.core_config import (
    BatchConfig,
    ConfigAnswer,
    DeviceAndBatch,
    DeviceConfig,
    InferenceConfig,
    LogFile,
    LoggingConfig,
    ModelRateLimit,
    RateLimiting,
    ServerAddress,
)
from slipstream.http.types import Request, Response
from slipstream.setting_options import OPTIONS, ModelLimit, ProviderPlugin
from slipstream.settings import Settings

_LEAST_BATCH = 1
_MOST_LOG_FILES = 100


def config(context: Context, request: Request) -> Response:
    """GET /config."""
    settings = context.settings
    device = _device(context)
    level = "DEBUG" if settings.debug else "INFO"
    return json_response(
        ConfigAnswer(
            DeviceAndBatch(device, BatchConfig(_LEAST_BATCH, settings.max_batch_size)),
            InferenceConfig(device.device_type, _LEAST_BATCH, device.use_fp16, settings.debug),
            ServerAddress(settings.host, context.port, level),
            LoggingConfig(
                level,
                None if settings.log_dir is None else str(settings.log_dir),
                _log_files(settings),
            ),
            _rate_limiting(settings),
            shown_settings(settings),
        )
    )


def _device(context: Context) -> DeviceConfig:
    models = [model for model in context.engine.models() if not model.is_resting]
    gpus = gpus_in_use(context.engine)
    device_type: Literal["cpu", "cuda"] = "cuda" if gpus else "cpu"
    return DeviceConfig(
        device_type=device_type,
        device_id=gpus[0] if gpus else None,
        use_fp16=any((model.quantization or "").startswith("FP16") for model in models),
        use_tensorrt=any(
            bool(model.placement.devices)
            and "tensorrt" in (model.backend, model.tuning.gpu_provider)
            for model in models
        ),
    )


def _log_files(settings: Settings) -> dict[str, LogFile]:
    """The newest ones; those that are being rotated away at this moment are left out."""
    if settings.log_dir is None:
        return {}
    found = []
    for file in settings.log_dir.glob("*.log*"):
        try:
            state = file.stat()
        except FileNotFoundError:
            continue
        found.append((state.st_mtime, file.name, state.st_size))
    found.sort(key=lambda one: (-one[0], one[1]))
    return {
        name: LogFile(mebibytes(size) or 0.0, format_time(modified))
        for modified, name, size in found[:_MOST_LOG_FILES]
    }


def _rate_limiting(settings: Settings) -> RateLimiting:
    per_client = (settings.rate_limit_rps, settings.rate_limit_concurrent)
    return RateLimiting(
        any(per_client) or bool(settings.model_rate_limits),
        settings.rate_limit_rps,
        settings.rate_limit_burst,
        settings.rate_limit_concurrent,
        [ModelRateLimit(*limit) for limit in settings.model_rate_limits],
    )


def shown_settings(settings: Settings) -> dict[str, Any]:
    """Every setting, as JSON has it; of a secret whether it is set."""
    return {
        name: bool(value) if OPTIONS[name].secret else _plain(value)
        for name, value in msgspec.structs.asdict(settings).items()
    }


def _plain(value: object) -> object:
    if isinstance(value, ModelLimit | ProviderPlugin):
        return value._asdict()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
