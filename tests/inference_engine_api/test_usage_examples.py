"""Section "Usage Examples": its programs run as they stand, one after the other, in one session."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from http_server import Server, slipstream_server
from inference_engine_api.conftest import API_KEY

SET_UP = """
import requests
import json
import time

API_BASE = "{address}"
API_KEY = "{key}"
headers = {{"X-API-Key": API_KEY, "Content-Type": "application/json"}}
"""

BASIC_INFERENCE_WORKFLOW = """
# 1. Load model
model_config = {
    "model_path": "./models/my_model.pkl",
    "model_type": "sklearn",
    "compile_model": True
}
response = requests.post(f"{API_BASE}/api/inference/models/load",
                        headers=headers, json=model_config)
model_id = response.json()["model_id"]

# 2. Make prediction
prediction_data = {
    "data": [[1.0, 2.0, 3.0, 4.0, 5.0]],
    "model_id": model_id,
    "return_probabilities": True
}
response = requests.post(f"{API_BASE}/api/inference/predict",
                        headers=headers, json=prediction_data)
result = response.json()

print("Prediction:", result["predictions"])
print("Probabilities:", result["probabilities"])
"""

BATCH_PROCESSING = """
# Batch prediction
batch_data = {
    "data": [
        [1.0, 2.0, 3.0, 4.0, 5.0],
        [6.0, 7.0, 8.0, 9.0, 10.0],
        [11.0, 12.0, 13.0, 14.0, 15.0]
    ],
    "model_id": model_id,
    "batch_size": 32
}
response = requests.post(f"{API_BASE}/api/inference/predict/batch",
                        headers=headers, json=batch_data)
results = response.json()

print("Batch predictions:", results["predictions"])
print("Batch processing time:", results["total_inference_time"])
"""

MULTI_MODEL_INFERENCE = """
# Load multiple models
models = []
for i, model_path in enumerate(["model1.pkl", "model2.pkl"]):
    response = requests.post(f"{API_BASE}/api/inference/models/load",
                           headers=headers,
                           json={"model_path": model_path, "model_type": "sklearn"})
    models.append(response.json()["model_id"])

# Multi-model batch prediction
multi_batch_data = {
    "requests": [
        {
            "request_id": "req_001",
            "data": [[1.0, 2.0, 3.0, 4.0, 5.0]],
            "model_id": models[0]
        },
        {
            "request_id": "req_002",
            "data": [[6.0, 7.0, 8.0, 9.0, 10.0]],
            "model_id": models[1]
        }
    ]
}
response = requests.post(f"{API_BASE}/api/inference/predict/multi-batch",
                        headers=headers, json=multi_batch_data)
results = response.json()
"""

ASYNC_PROCESSING = """
# Submit async prediction
async_data = {
    "data": [[1.0, 2.0, 3.0, 4.0, 5.0]],
    "model_id": model_id,
    "priority": "high"
}
response = requests.post(f"{API_BASE}/api/inference/predict/async",
                        headers=headers, json=async_data)
task_id = response.json()["task_id"]

# Poll for results
while True:
    response = requests.get(f"{API_BASE}/api/inference/predict/async/{task_id}",
                           headers={"X-API-Key": API_KEY})
    status = response.json()["status"]

    if status == "completed":
        result = response.json()["result"]
        print("Async prediction:", result["predictions"])
        break
    elif status == "failed":
        print("Prediction failed")
        break

    time.sleep(0.1)
"""

MODEL_OPTIMIZATION = """
# Quantize model for better performance
quantization_config = {
    "quantization_type": "INT8",
    "quantization_mode": "DYNAMIC"
}
response = requests.post(f"{API_BASE}/api/inference/models/{model_id}/quantize",
                        headers=headers, json=quantization_config)
print("Quantization result:", response.json())

# Compile model for faster inference
response = requests.post(f"{API_BASE}/api/inference/models/{model_id}/compile",
                        headers={"X-API-Key": API_KEY})
print("Compilation result:", response.json())
"""

MONITORING_AND_METRICS = """
# Get performance metrics
response = requests.get(f"{API_BASE}/api/inference/metrics/performance",
                       headers={"X-API-Key": API_KEY})
metrics = response.json()

print("Average response time:", metrics["request_metrics"]["average_response_time"])
print("Requests per second:", metrics["request_metrics"]["requests_per_second"])
print("CPU usage:", metrics["resource_metrics"]["cpu_usage"])

# Get model-specific metrics
response = requests.get(f"{API_BASE}/api/inference/models/{model_id}/metrics",
                       headers={"X-API-Key": API_KEY})
model_metrics = response.json()

print("Model inference count:", model_metrics["inference_count"])
print("Model average time:", model_metrics["average_inference_time"])
"""


@pytest.fixture(scope="module")
def forests() -> list[RandomForestClassifier]:
    """Three small forests on five columns."""
    rows = np.random.default_rng(5).normal(5, 4, (200, 5))
    return [
        RandomForestClassifier(5, max_depth=4, random_state=seed).fit(rows, rows[:, seed] > 5)
        for seed in range(3)
    ]


@pytest.fixture(scope="module")
def server(
    forests: list[RandomForestClassifier], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("usage-examples")
    (folder / "models").mkdir()
    for name, forest in zip(("my_model", "model1", "model2"), forests, strict=True):
        (folder / "models" / f"{name}.pkl").write_bytes(pickle.dumps(forest))
    environment = {"REQUIRE_API_KEY": "True", "API_KEYS": API_KEY}
    with slipstream_server("--model-dir", "models", env=environment, cwd=Path(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def session(server: Server) -> dict[str, Any]:
    """The variables of a Python session in which the first program has run."""
    variables: dict[str, Any] = {}
    exec(SET_UP.format(address=server.address, key=API_KEY), variables)
    exec(BASIC_INFERENCE_WORKFLOW, variables)
    return variables


def test_basic_inference_workflow(
    session: dict[str, Any], forests: list[RandomForestClassifier]
) -> None:
    row = [[1.0, 2.0, 3.0, 4.0, 5.0]]
    assert session["result"]["predictions"] == forests[0].predict(row).tolist()
    expected = forests[0].predict_proba(row)
    np.testing.assert_allclose(session["result"]["probabilities"], expected, atol=1e-9)


def test_batch_processing(
    session: dict[str, Any],
    forests: list[RandomForestClassifier],
    capsys: pytest.CaptureFixture[str],
) -> None:
    exec(BATCH_PROCESSING, session)
    rows = np.arange(1.0, 16.0).reshape(3, 5)
    assert session["results"]["predictions"] == forests[0].predict(rows).tolist()
    assert float(capsys.readouterr().out.rpartition("Batch processing time: ")[2]) > 0


def test_multi_model_inference(
    session: dict[str, Any], forests: list[RandomForestClassifier]
) -> None:
    exec(MULTI_MODEL_INFERENCE, session)
    results = session["results"]
    assert results["successful_requests"] == 2
    for row, forest, result in zip(
        ([[1.0, 2.0, 3.0, 4.0, 5.0]], [[6.0, 7.0, 8.0, 9.0, 10.0]]),
        forests[1:],
        results["results"],
        strict=True,
    ):
        assert result["predictions"] == forest.predict(row).tolist()


def test_async_processing(
    session: dict[str, Any],
    forests: list[RandomForestClassifier],
    capsys: pytest.CaptureFixture[str],
) -> None:
    exec(ASYNC_PROCESSING, session)
    expected = forests[0].predict([[1.0, 2.0, 3.0, 4.0, 5.0]]).tolist()
    assert capsys.readouterr().out == f"Async prediction: {expected}\n"


def test_model_optimization(session: dict[str, Any]) -> None:
    exec(MODEL_OPTIMIZATION, session)
    assert session["response"].json()["compiled"] is True


def test_monitoring_and_metrics(
    session: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    exec(MONITORING_AND_METRICS, session)
    assert session["model_metrics"]["inference_count"] > 0
    assert "CPU usage:" in capsys.readouterr().out
