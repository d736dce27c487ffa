"""Section "Inference Operations": predict, batch, multi-batch, async."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx
import numpy as np
import pytest

from inference_engine_api.conftest import Known
from inference_engine_api.contract import BASE, FILLED, TIME, answer, check, refused


def test_single_prediction(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    model_id, model = load("breast_cancer.pkl"), known["breast_cancer"]
    data = model.data(1)
    body = {"data": data, "model_id": model_id, "return_probabilities": False}
    predicted = answer(client.post(f"{BASE}/predict", json=body))
    check(
        predicted,
        {
            "predictions": [int],
            "model_id": model_id,
            "inference_time": float,
            "request_id": re.compile(r"req_\w+"),
            "timestamp": TIME,
        },
    )
    assert predicted["predictions"] == model.model.predict(data).tolist()


def test_single_prediction_of_every_key(
    client: httpx.Client, load: Any, known: dict[str, Known]
) -> None:
    model_id, model = load("wine.pkl"), known["wine"]
    for priority in ("low", "normal", "high", "urgent"):
        body = {
            "data": model.data(2),
            "model_id": model_id,
            "return_probabilities": True,
            "batch_size": 32,
            "timeout_ms": 5000,
            "priority": priority,
        }
        predicted = answer(client.post(f"{BASE}/predict", json=body))
        expected = model.model.predict_proba(model.data(2))
        np.testing.assert_allclose(predicted["probabilities"], expected, rtol=0, atol=1e-6)
        assert predicted["predictions"] == model.model.predict(model.data(2)).tolist()


def test_a_network_with_three_outputs(client: httpx.Client, load: Any) -> None:
    """basic-pitch hears an A in two seconds of 440 Hz: note 69, of 88 from 21."""
    model_id = load("basic-pitch.onnx")
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(43844) / 22050)
    body = {"model_id": model_id, "data": tone.reshape(1, -1, 1).round(6).tolist()}
    outputs = answer(client.post(f"{BASE}/predict", json=body))["predictions"]
    shapes = [np.shape(output) for output in outputs.values()]
    assert sorted(shapes) == [(1, 172, 88), (1, 172, 88), (1, 172, 264)]
    notes = [np.array(o)[0].mean(axis=0) for o in outputs.values() if np.shape(o)[2] == 88]
    assert 69 in [int(note.argmax()) + 21 for note in notes]


def test_batch_prediction(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    model_id, model = load("breast_cancer.pkl"), known["breast_cancer"]
    body = {"data": model.data(3), "model_id": model_id, "batch_size": 32}
    predicted = answer(
        client.post(f"{BASE}/predict/batch", json=body | {"return_probabilities": True})
    )
    check(
        predicted,
        {
            "predictions": [int],
            "probabilities": [[float]],
            "model_id": model_id,
            "batch_size": 3,
            "total_inference_time": float,
            "average_inference_time": float,
            "request_id": re.compile(r"batch_\w+"),
            "timestamp": TIME,
        },
    )
    expected = model.model.predict_proba(model.data(3))
    np.testing.assert_allclose(predicted["probabilities"], expected, rtol=0, atol=1e-6)
    average_s, total_s = predicted["average_inference_time"], predicted["total_inference_time"]
    assert total_s == pytest.approx(3 * average_s, rel=1e-2)


def test_a_regression_in_batches(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    model_id, model = load("diabetes.pkl"), known["diabetes"]
    body = {"data": model.data(100), "model_id": model_id, "batch_size": 7}
    predicted = answer(client.post(f"{BASE}/predict/batch", json=body))
    np.testing.assert_allclose(
        predicted["predictions"], model.model.predict(model.data(100)), rtol=1e-12
    )


def test_a_network_from_a_package(client: httpx.Client, load: Any) -> None:
    """Magika, which tells file types from the first and last bytes of a file."""
    model_id = load("magika.onnx")
    text = (b"import os\n\n\ndef main() -> None:\n    print(os.getcwd())\n" * 30)[:1024]
    beginning = list(text)
    tokens = beginning + [256] * (1024 - len(beginning)) + list(text[-1024:])
    body = {"data": [tokens], "model_id": model_id}
    predicted = answer(client.post(f"{BASE}/predict", json=body))
    scores = np.asarray(predicted["predictions"])
    assert scores.shape == (1, 214)
    assert scores.sum() == pytest.approx(1, abs=1e-4)


def test_multi_model_batch(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    ids = {"breast_cancer": load("breast_cancer.pkl"), "diabetes": load("diabetes.pkl")}
    body: dict[str, Any] = {
        "requests": [
            {"request_id": "req_001", "data": known[name].data(1), "model_id": model_id}
            for name, model_id in ids.items()
        ],
        "batch_timeout_ms": 1000,
        "priority": "high",
    }
    entry = {
        "request_id": "req_001",
        "predictions": list,
        "model_id": ids["breast_cancer"],
        "inference_time": float,
        "status": "success",
    }
    shape = {
        "results": list,
        "batch_id": re.compile(r"batch_\w+"),
        "total_requests": 2,
        "successful_requests": 2,
        "failed_requests": 0,
        "total_time": float,
    }
    done = answer(client.post(f"{BASE}/predict/multi-batch", json=body))
    check(done, shape)
    check(done["results"][0], entry)
    check(done["results"][1], entry | {"request_id": "req_001", "model_id": ids["diabetes"]})


def test_a_failed_entry_of_a_multi_model_batch(
    client: httpx.Client, load: Any, known: dict[str, Known]
) -> None:
    model_id = load("diabetes.pkl")
    entries = [
        {"request_id": "good", "data": known["diabetes"].data(1), "model_id": model_id},
        {"request_id": "bad", "data": [[1.0]], "model_id": "no_such_model"},
    ]
    done = answer(client.post(f"{BASE}/predict/multi-batch", json={"requests": entries}))
    assert (done["successful_requests"], done["failed_requests"]) == (1, 1)
    failed = {
        "request_id": "bad",
        "model_id": "no_such_model",
        "status": "error",
        "error": {"error": "ModelNotFoundError", "message": FILLED, "details": dict},
    }
    check(done["results"][1], failed)


def test_async_prediction(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    model_id, model = load("diabetes.pkl"), known["diabetes"]
    body = {"data": model.data(1), "model_id": model_id, "priority": "high"}
    submitted = answer(client.post(f"{BASE}/predict/async", json=body), 202)
    check(
        submitted,
        {
            "task_id": re.compile(r"task_\w+"),
            "status": "queued",
            "estimated_completion": (TIME, None),
            "queue_position": (int, None),
        },
    )
    task = completed(client, submitted["task_id"])
    shape = {
        "task_id": submitted["task_id"],
        "status": "completed",
        "result": dict,
        "completed_at": TIME,
    }
    check(task, shape, extra=task.keys() - shape.keys())
    check(task["result"], {"predictions": [float], "inference_time": float}, extra=("model_id",))
    assert task["result"]["predictions"] == pytest.approx(model.model.predict(model.data(1)))
    refused(client.get(f"{BASE}/predict/async/task_none"), 404, "TaskNotFoundError")


def completed(client: httpx.Client, task_id: str) -> dict[str, Any]:
    """Polls as the document's example does."""
    while True:
        task: dict[str, Any] = answer(client.get(f"{BASE}/predict/async/{task_id}"))
        if task["status"] not in ("queued", "running"):
            return task
        time.sleep(0.01)
