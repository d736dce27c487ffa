"""Section "Quantization and Optimization": quantize, compile, optimize."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from inference_engine_api.contract import BASE, FILLED, answer, check, refused

QUANTIZED = {
    "message": FILLED,
    "model_id": str,
    "quantization_type": "INT8",
    "size_reduction_percent": float,
    "speed_improvement_percent": float,
    "accuracy_loss_percent": float,
}


def test_quantize(client: httpx.Client, load: Any) -> None:
    model_id = load("magika.onnx")
    body = {
        "quantization_type": "INT8",
        "quantization_mode": "DYNAMIC",
        "max_accuracy_loss_percent": 100.0,
    }
    response = client.post(f"{BASE}/models/{model_id}/quantize", json=body, timeout=120)
    quantized = answer(response)
    shape = QUANTIZED | {"model_id": model_id}
    check(quantized, shape, extra=quantized.keys() - shape.keys())
    assert quantized["size_reduction_percent"] > 20


def test_a_tree_is_not_quantized(client: httpx.Client, load: Any) -> None:
    model_id = load("diabetes.pkl")
    body = {"quantization_type": "INT8", "quantization_mode": "DYNAMIC"}
    response = client.post(f"{BASE}/models/{model_id}/quantize", json=body)
    assert answer(response, 422)["message"]
    refused(client.post(f"{BASE}/models/none/quantize", json=body), 404, "ModelNotFoundError")


def test_compile(client: httpx.Client, load: Any) -> None:
    model_id = load("wine.pkl", compile_model=False)
    shape = {
        "message": FILLED,
        "model_id": model_id,
        "compiled": True,
        "backend": "forest",
        "compile_time": float,
    }
    for _ in range(2):
        check(answer(client.post(f"{BASE}/models/{model_id}/compile")), shape, extra=("reason",))
    refused(client.post(f"{BASE}/models/none/compile"), 404, "ModelNotFoundError")


@pytest.mark.parametrize("level", ["conservative", "balanced", "aggressive"])
def test_optimize(client: httpx.Client, load: Any, level: str) -> None:
    model_id = load("diabetes.pkl")
    body = {
        "optimization_level": level,
        "target_latency_ms": 10,
        "target_throughput": 100,
        "time_budget_s": 5,
    }
    response = client.post(f"{BASE}/models/{model_id}/optimize", json=body, timeout=60)
    optimized = answer(response)
    assert optimized["model_id"] == model_id
    assert optimized["candidates"]
