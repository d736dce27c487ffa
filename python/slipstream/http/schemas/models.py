"""Models: loading, listing, looking at them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from slipstream.device_names import (
    MOST_BATCHES_IN_FLIGHT,
    MOST_GRAPH_ROWS,
    MOST_MEMORY_MB,
    PATTERN,
    PROVIDER_PATTERN,
)


def _bounds(least: int, most: int) -> Meta:
    """Told here; kept by who loads, whose messages say what is expected."""
    return Meta(extra_json_schema={"minimum": least, "maximum": most})


Device = Annotated[str, Meta(extra_json_schema={"pattern": PATTERN})]
Provider = Annotated[str, Meta(extra_json_schema={"pattern": PROVIDER_PATTERN})]


class LoadRequest(msgspec.Struct):
    """POST models/load."""

    model_path: str
    model_type: str = "auto"
    compile_model: bool = True
    model_id: str | None = None
    ensemble_method: Literal["voting", "stacking", "bagging"] | None = None
    cache_predictions: bool = False
    device: Device | None = None
    """`auto`, `cpu`, `cuda`, `cuda:N`, or several as in `cuda:0,cuda:1`; null: as the setting."""
    gpu_memory_limit_mb: Annotated[int, _bounds(1, MOST_MEMORY_MB)] | None = None
    """Most of a GPU's memory that each instance takes."""
    gpu_provider: Provider | None = None
    """What computes on a GPU, of an ONNX graph: `cuda`, `tensorrt`, or a plugin of the server's by
    its name; null: `cuda`."""
    gpu_batches_in_flight: Annotated[int, _bounds(1, MOST_BATCHES_IN_FLIGHT)] | None = None
    """Most batches that an instance on a GPU has in progress at once; null: 3."""
    gpu_graph_rows: Annotated[int, _bounds(0, MOST_GRAPH_ROWS)] | None = None
    """Batches of at most so many rows are replayed as CUDA graphs; null: none."""
    priority: Literal["high", "normal", "low"] = "normal"
    """Before which other loads it gets its turn."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "model_path": "./models/iris.pkl",
        "model_type": "sklearn",
        "model_id": "iris",
    }


class LoadAnswer(msgspec.Struct):
    """POST models/load, POST models/{model_id}/reload."""

    message: str
    model_id: str
    model_type: str
    compiled: bool
    load_time: float
    model_size_mb: float
    loaded_at: str
    device: str
    """Where it computes: `cpu`, `cuda:0`, `cuda:0,cuda:1`."""
    reason: str | UnsetType = UNSET
    """Why the model is not compiled, where it is not."""
    device_reason: str | UnsetType = UNSET
    """Why it computes on the CPU, where `auto` had chosen a GPU."""


class ListedModel(msgspec.Struct):
    """One row of GET models/list."""

    model_id: str
    model_type: str
    compiled: bool
    loaded_at: str
    inference_count: int
    state: Literal["loaded", "evicted", "loading"]


class ModelList(msgspec.Struct):
    """GET models/list."""

    models: list[ListedModel]
    total_models: int
    total_memory_usage_mb: float | None


class EnsembleMember(msgspec.Struct):
    """One member of an ensemble."""

    name: str
    model_type: str
    backend: str
    compiled: bool
    weight: float
    model_id: str | UnsetType = UNSET
    """Of a loaded model that the ensemble shares."""
    model_path: str | UnsetType = UNSET
    """Of one of its own, as the ensemble file has it."""


class ModelInfo(msgspec.Struct):
    """GET models/{model_id}/info."""

    model_id: str
    model_type: str
    model_path: str
    compiled: bool
    loaded_at: str
    last_used: str | None
    inference_count: int
    average_inference_time: float
    model_size_mb: float
    memory_usage_mb: float | None
    backend: str
    state: Literal["loaded", "evicted", "loading"]
    device: str
    """Where it computes, or did before it was evicted."""
    reason: str | UnsetType = UNSET
    device_reason: str | UnsetType = UNSET
    """Why it computes on the CPU, where `auto` had chosen a GPU."""
    quantization: str | UnsetType = UNSET
    """Type and mode, where it is quantized."""
    ensemble_method: str | UnsetType = UNSET
    """Only of an ensemble file."""
    members: list[EnsembleMember] | UnsetType = UNSET
    """Only of an ensemble file; stacking's final estimator is the last."""


class UnloadAnswer(msgspec.Struct):
    """DELETE models/{model_id}."""

    message: str
    model_id: str
    memory_freed_mb: float | None


class VariantMetrics(msgspec.Struct):
    """What a model did when it was drawn as a variant."""

    inference_count: int
    error_count: int
    average_inference_time: float | None


class ModelMetricsAnswer(msgspec.Struct):
    """GET models/{model_id}/metrics."""

    model_id: str
    inference_count: int
    average_inference_time: float
    total_inference_time: float
    last_inference_time: float | None
    """Null before the first."""
    error_count: int
    error_rate: float
    throughput_per_second: float
    memory_usage_mb: float | None
    variant: VariantMetrics | UnsetType = UNSET
    """Only where it was drawn as a variant."""
