"""Experiments: one id for several models."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class VariantWeight(msgspec.Struct):
    """A variant in PUT experiments/{experiment_id}."""

    model_id: str
    weight: float


class ShadowShare(msgspec.Struct):
    """A shadow in PUT experiments/{experiment_id}."""

    model_id: str
    share: float = 1.0


class ExperimentRequest(msgspec.Struct):
    """PUT experiments/{experiment_id}."""

    variants: list[VariantWeight]
    shadows: list[ShadowShare] = []

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "variants": [
            {"model_id": "iris-v1", "weight": 9},
            {"model_id": "iris-v2", "weight": 1},
        ],
        "shadows": [{"model_id": "iris-v3", "share": 0.1}],
    }


class LatencyFigures(msgspec.Struct):
    """Of requests that were answered; null where there were none."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class VariantFigures(msgspec.Struct):
    """A variant, and what it did."""

    model_id: str
    weight: float
    loaded: bool
    drawn_count: int
    drawn_share: float | None
    """Null before the first."""
    inference_count: int
    error_count: int
    latency: LatencyFigures


class ShadowFigures(msgspec.Struct):
    """A shadow, and how it compares."""

    model_id: str
    share: float
    loaded: bool
    compared: int
    """Rows."""
    agreeing: int
    max_difference: float | None
    """Null where no numbers were compared."""
    mean_difference: float | None
    error_count: int
    dropped_count: int
    latency: LatencyFigures


class ExperimentAnswer(msgspec.Struct):
    """GET and PUT experiments/{experiment_id}."""

    experiment_id: str
    created_at: str
    changed_at: str
    drawn_count: int
    inference_count: int
    error_count: int
    variants: list[VariantFigures]
    shadows: list[ShadowFigures]


class ExperimentList(msgspec.Struct):
    """GET experiments/list."""

    experiments: list[ExperimentAnswer]
    total_experiments: int


class ExperimentEnd(msgspec.Struct):
    """DELETE experiments/{experiment_id}."""

    message: str
    experiment_id: str
