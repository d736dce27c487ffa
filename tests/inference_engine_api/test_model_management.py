"""Section "Model Management": load, info, list, unload, reload, metrics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference_engine_api.conftest import Known
from inference_engine_api.contract import BASE, FILLED, TIME, answer, check, number_or_null, refused

LOADED = {
    "message": "Model loaded successfully",
    "model_id": re.compile(r"model_\w+"),
    "model_type": "sklearn",
    "compiled": True,
    "load_time": float,
    "model_size_mb": float,
    "loaded_at": TIME,
    "device": "cpu",
}


def test_load(client: httpx.Client) -> None:
    body = {"model_path": "./models/breast_cancer.pkl", "model_type": "sklearn"}
    response = client.post(f"{BASE}/models/load", json=body | {"compile_model": True})
    check(answer(response), LOADED)
    assert response.json()["load_time"] > 0
    assert response.json()["model_size_mb"] > 0


@pytest.mark.parametrize(
    ("file", "model_type", "is_compiled"),
    [
        ("breast_cancer.pkl", "sklearn", True),
        ("wine.pkl", "ensemble", True),
        ("diabetes.pkl", "sklearn", True),
        ("magika.onnx", "onnx", True),
        ("basic-pitch.onnx", "onnx", True),
        ("silero.onnx", "onnx", True),
        ("custom.py", "custom", False),
    ],
)
def test_load_of_every_type(
    client: httpx.Client, file: str, model_type: str, is_compiled: bool
) -> None:
    body = {"model_path": file, "model_type": model_type}
    loaded = answer(client.post(f"{BASE}/models/load", json=body))
    shape = LOADED | {"model_type": model_type, "compiled": is_compiled}
    check(loaded, shape, extra=("reason",))
    assert ("reason" in loaded) is not is_compiled


def test_load_without_compiling(client: httpx.Client) -> None:
    body = {"model_path": "breast_cancer.pkl", "model_type": "sklearn", "compile_model": False}
    loaded = answer(client.post(f"{BASE}/models/load", json=body))
    check(loaded, LOADED | {"compiled": False, "reason": FILLED})


def test_load_refusals(client: httpx.Client, load: Any, folder: Path) -> None:
    def post(**body: Any) -> httpx.Response:
        return client.post(f"{BASE}/models/load", json=body)

    load("wine.pkl", model_id="wine")
    taken = refused(post(model_path="wine.pkl"), 409, "ModelAlreadyLoadedError")
    assert taken["details"]["model_id"] == "wine"
    refused(post(model_path="nowhere.pkl"), 404, "ModelNotFoundError")
    refused(post(model_path="diabetes.pkl", model_type="xgboost"), 422, "ModelLoadError")
    refused(post(model_type="sklearn"), 422, "InvalidInputError")
    refused(post(model_path="diabetes.pkl", model_type="caffe"), 422, "InvalidInputError")
    refused(post(model_path="../../etc/passwd"), 422, "UnsafeModelError")


def test_info(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    model_id = load("breast_cancer.pkl")
    shape: dict[str, Any] = {
        "model_id": model_id,
        "model_type": "sklearn",
        "model_path": FILLED,
        "compiled": True,
        "loaded_at": TIME,
        "last_used": None,
        "inference_count": 0,
        "average_inference_time": float,
        "model_size_mb": float,
        "memory_usage_mb": number_or_null(),
    }
    extra = ("backend", "device", "state", "cached_predictions", "members")
    check(answer(client.get(f"{BASE}/models/{model_id}/info")), shape, extra=extra)

    body = {"data": known["breast_cancer"].data(2), "model_id": model_id}
    answer(client.post(f"{BASE}/predict", json=body))
    after = answer(client.get(f"{BASE}/models/{model_id}/info"))
    check(after, shape | {"last_used": TIME, "inference_count": 1}, extra=extra)
    assert after["average_inference_time"] > 0
    refused(client.get(f"{BASE}/models/none/info"), 404, "ModelNotFoundError")


def test_list(client: httpx.Client, load: Any) -> None:
    empty = {"models": [], "total_models": 0, "total_memory_usage_mb": number_or_null()}
    check(answer(client.get(f"{BASE}/models/list")), empty)
    ids = [load("wine.pkl"), load("diabetes.pkl")]
    listed = answer(client.get(f"{BASE}/models/list"))
    check(listed, empty | {"models": list, "total_models": 2})
    for model, model_id in zip(listed["models"], ids, strict=True):
        shape = {
            "model_id": model_id,
            "model_type": FILLED,
            "compiled": True,
            "loaded_at": TIME,
            "inference_count": 0,
        }
        check(model, shape, extra=("state",))


def test_unload(client: httpx.Client, load: Any) -> None:
    model_id = load("wine.pkl")
    check(
        answer(client.delete(f"{BASE}/models/{model_id}")),
        {
            "message": "Model unloaded successfully",
            "model_id": model_id,
            "memory_freed_mb": number_or_null(),
        },
    )
    refused(client.delete(f"{BASE}/models/{model_id}"), 404, "ModelNotFoundError")


def test_reload(client: httpx.Client, load: Any) -> None:
    model_id = load("diabetes.pkl")
    reloaded = answer(client.post(f"{BASE}/models/{model_id}/reload"))
    check(reloaded, LOADED | {"message": FILLED, "model_id": model_id})
    refused(client.post(f"{BASE}/models/none/reload"), 404, "ModelNotFoundError")


def test_metrics(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    model_id = load("diabetes.pkl")
    for _ in range(3):
        answer(
            client.post(
                f"{BASE}/predict", json={"data": known["diabetes"].data(1), "model_id": model_id}
            )
        )
    wrong = {"data": [[1.0]], "model_id": model_id}
    refused(client.post(f"{BASE}/predict", json=wrong), 422, "InvalidInputError")
    metrics = answer(client.get(f"{BASE}/models/{model_id}/metrics"))
    check(
        metrics,
        {
            "model_id": model_id,
            "inference_count": 3,
            "average_inference_time": float,
            "total_inference_time": float,
            "last_inference_time": float,
            "error_count": int,
            "error_rate": float,
            "throughput_per_second": float,
            "memory_usage_mb": number_or_null(),
        },
    )
    average_s, total_s = metrics["average_inference_time"], metrics["total_inference_time"]
    assert total_s == pytest.approx(3 * average_s, rel=1e-3)
    refused(client.get(f"{BASE}/models/none/metrics"), 404, "ModelNotFoundError")
