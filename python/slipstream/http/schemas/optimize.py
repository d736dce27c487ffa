"""Quantizing, compiling and optimizing models."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from slipstream.http.schemas.values import MaybeData


class QuantizeRequest(msgspec.Struct):
    """POST models/{model_id}/quantize."""

    quantization_type: Literal["INT8", "UINT8", "INT4", "FP16"]
    calibration_data: MaybeData | UnsetType = UNSET
    """Rows, as ``data`` of a prediction."""
    quantization_mode: Literal["DYNAMIC", "STATIC"] = "DYNAMIC"
    max_accuracy_loss_percent: float = 1.0

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "quantization_type": "INT8",
        "quantization_mode": "DYNAMIC",
        "max_accuracy_loss_percent": 2.0,
    }


class QuantizeAnswer(msgspec.Struct):
    """POST models/{model_id}/quantize."""

    message: str
    model_id: str
    quantization_type: str
    size_reduction_percent: float
    speed_improvement_percent: float
    accuracy_loss_percent: float
    quantization_mode: str | None
    max_accuracy_loss_percent: float
    rows: int
    rows_source: Literal["calibration", "generated"]
    quantized_weights: int
    size_before_mb: float
    size_after_mb: float
    latency_before_ms: float
    latency_after_ms: float
    applied: bool


class OptimizeRequest(msgspec.Struct):
    """POST models/{model_id}/optimize."""

    optimization_level: Literal["conservative", "balanced", "aggressive"] = "balanced"
    target_latency_ms: float | None = None
    target_throughput: float | None = None
    time_budget_s: float = 60.0
    calibration_data: MaybeData | UnsetType = UNSET
    """Rows, as ``data`` of a prediction."""
    max_accuracy_loss_percent: float = 1.0

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "optimization_level": "aggressive",
        "target_latency_ms": 10,
        "target_throughput": 100,
        "time_budget_s": 30,
    }


class Configuration(msgspec.Struct):
    """How a model runs, as far as a search may change it."""

    instances: int
    max_batch_rows: int
    intra_op_threads: int
    graph_optimization_level: str
    quantization: str | None


class CandidateAnswer(msgspec.Struct):
    """One row of ``candidates``."""

    configuration: Configuration
    status: Literal["measured", "skipped"]
    latency_p50_ms: float | UnsetType = UNSET
    latency_p99_ms: float | UnsetType = UNSET
    throughput_per_second: float | UnsetType = UNSET
    accuracy_loss_percent: float | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    """Why it was skipped."""


class TargetAnswer(msgspec.Struct):
    """One row of ``targets``."""

    target: Literal["target_latency_ms", "target_throughput"]
    wanted: float
    reached: float
    met: bool
    short_by_percent: float


class OptimizeAnswer(msgspec.Struct):
    """POST models/{model_id}/optimize, once the search is over."""

    message: str
    model_id: str
    optimization_level: str
    applied: bool
    configuration: Configuration
    """How the model runs now."""
    before: CandidateAnswer
    best: CandidateAnswer
    targets: list[TargetAnswer]
    candidates: list[CandidateAnswer]
    rows: int
    rows_source: Literal["calibration", "generated"]
    concurrency: int
    optimize_time: float


class OptimizeProgress(msgspec.Struct):
    """GET models/{model_id}/optimize."""

    model_id: str
    state: Literal["none", "running", "finished", "failed"]
    configuration: Configuration
    """How the model runs now."""
    seconds_left: float
    candidates: list[CandidateAnswer]
    applied: bool
    reason: str | UnsetType = UNSET
    """Why it failed."""


class CompileAnswer(msgspec.Struct):
    """POST models/{model_id}/compile."""

    message: str
    model_id: str
    compiled: bool
    backend: str
    compile_time: float
    reason: str | UnsetType = UNSET
    """Why the model is not compiled, where it is not."""


class DryRun(msgspec.Struct):
    """The query string of POST models/{model_id}/quantize."""

    dry_run: bool = False
