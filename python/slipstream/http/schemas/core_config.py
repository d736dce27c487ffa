"""GET /config: the configuration in force, without its secrets."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class DeviceConfig(msgspec.Struct):
    """What models in memory compute on."""

    device_type: Literal["cpu", "cuda"]
    """Cuda where one computes on a GPU."""
    device_id: int | None
    """Of the first such GPU; null without one."""
    use_fp16: bool
    """Whether a model is quantized to 16-bit floats."""
    use_tensorrt: bool
    """Whether a model is run by TensorRT."""


class BatchConfig(msgspec.Struct):
    """Rows of one execution."""

    batch_size: int
    """That an execution waits for: one. Batches are what has come while the model was busy."""
    max_batch_size: int


class DeviceAndBatch(msgspec.Struct):
    """Of GET /config."""

    device: DeviceConfig
    batch: BatchConfig


class InferenceConfig(msgspec.Struct):
    """The same in short."""

    device_type: Literal["cpu", "cuda"]
    batch_size: int
    use_fp16: bool
    enable_profiling: bool
    """Whether each request is logged with its time (`INFERENCE_API_DEBUG`)."""


class ServerAddress(msgspec.Struct):
    """Where it listens."""

    host: str
    port: int | None
    """Null on a Unix socket."""
    log_level: str


class LogFile(msgspec.Struct):
    """One file of the log."""

    size_mb: float
    last_modified: str


class LoggingConfig(msgspec.Struct):
    """Where the log goes, beside standard error."""

    log_level: str
    log_directory: str | None
    """Null where it only goes to standard error."""
    log_files: dict[str, LogFile]


class ModelRateLimit(msgspec.Struct):
    """Of one model, whoever asks; 0 is no limit."""

    model_id: str
    """``*``: every model that has none of its own."""
    requests_per_second: float
    burst: int
    concurrent_requests: int


class RateLimiting(msgspec.Struct):
    """What a client may ask; 0 is no limit."""

    enabled: bool
    requests_per_second: float
    burst: int
    concurrent_requests: int
    models: list[ModelRateLimit]


class ConfigAnswer(msgspec.Struct):
    """GET /config."""

    configuration: DeviceAndBatch
    inference_config: InferenceConfig
    server_config: ServerAddress
    logging_config: LoggingConfig
    rate_limiting: RateLimiting
    settings: dict[str, Any]
    """Every setting in force by its name in ``slipstream.toml``. Of a secret only whether it is
    set."""
