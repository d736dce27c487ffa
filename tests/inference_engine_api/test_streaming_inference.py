"""Section "Streaming Inference": start, send, results, close."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from inference_engine_api.conftest import Known
from inference_engine_api.contract import BASE, FILLED, answer, check, refused


def start(client: httpx.Client, model_id: str, **options: Any) -> httpx.Response:
    body = {
        "stream_id": "stream_12345",
        "model_id": model_id,
        "buffer_size": 100,
        "batch_timeout_ms": 50,
    }
    return client.post(f"{BASE}/stream/start", json=body | options)


def test_a_session(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    model_id, model = load("diabetes.pkl"), known["diabetes"]
    check(
        answer(start(client, model_id)),
        {
            "stream_id": "stream_12345",
            "status": FILLED,
            "model_id": model_id,
            "buffer_size": 100,
            "batch_timeout_ms": (int, float),
        },
    )
    stream = f"{BASE}/stream/stream_12345"
    rows = model.data(3)
    for sequence_id in (2, 1, 3, 2):
        body = {"data": [rows[sequence_id - 1]], "sequence_id": sequence_id}
        check(
            answer(client.post(f"{stream}/send", json=body)),
            {
                "stream_id": "stream_12345",
                "sequence_id": sequence_id,
                "status": FILLED,
                "queued": int,
            },
        )
    results: list[dict[str, Any]] = []
    while len(results) < 3:
        page = answer(client.get(f"{stream}/results", params={"wait_ms": 1000}))
        check(page, {"stream_id": "stream_12345", "results": list, "pending": int})
        results += page["results"]
    assert [result["sequence_id"] for result in results] == [1, 2, 3]
    predicted = [result["predictions"][0] for result in results]
    assert predicted == pytest.approx(model.model.predict(rows))
    check(
        answer(client.delete(stream)),
        {
            "message": FILLED,
            "stream_id": "stream_12345",
            "received": int,
            "delivered": 3,
            "discarded": 0,
        },
    )
    refused(client.get(f"{stream}/results"), 404, "StreamNotFoundError")


def test_a_network_with_a_state(client: httpx.Client, load: Any, folder: Path) -> None:
    """silero-vad, 32 ms of a recording at a time: each answer depends on all that came before."""
    answer(start(client, load("silero.onnx"), stream_id="voice"))
    chunks = np.random.default_rng(0).normal(scale=0.1, size=(12, 512)).round(4)
    for sequence_id, chunk in enumerate(chunks, 1):
        body = {"data": [chunk.tolist()], "sequence_id": sequence_id}
        answer(client.post(f"{BASE}/stream/voice/send", json=body))
    heard: list[float] = []
    while len(heard) < len(chunks):
        page = client.get(f"{BASE}/stream/voice/results", params={"wait_ms": 1000})
        heard += [np.ravel(result["predictions"])[0] for result in answer(page)["results"]]
    network = onnxruntime.InferenceSession(folder / "silero.onnx")
    state, right = np.zeros((2, 1, 128), np.float32), []
    for chunk in chunks.astype(np.float32):
        output, state = network.run(
            None, {"input": chunk[None], "state": state, "sr": np.array(16000)}
        )
        right.append(output[0, 0])
    np.testing.assert_allclose(heard, right, rtol=0, atol=1e-6)
    answer(client.delete(f"{BASE}/stream/voice"))


def test_refusals(client: httpx.Client, load: Any) -> None:
    model_id = load("diabetes.pkl")
    answer(start(client, model_id))
    assert answer(start(client, model_id), 409)["error"]
    refused(start(client, "none", stream_id="other"), 404, "ModelNotFoundError")
    refused(start(client, model_id, stream_id="x", buffer_size=0), 422, "InvalidInputError")
    send = f"{BASE}/stream/stream_12345/send"
    refused(client.post(send, json={"sequence_id": 1}), 422, "InvalidInputError")
    refused(client.post(send, json={"data": [[1.0]], "sequence_id": 0}), 422, "InvalidInputError")
    answer(client.delete(f"{BASE}/stream/stream_12345"))
    assert answer(client.post(send, json={"data": [[1.0]], "sequence_id": 1}), 404)["error"]
