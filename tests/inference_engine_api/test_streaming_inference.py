"""Section "Streaming Inference": start, send, results, close."""

from __future__ import annotations

from typing import Any

import httpx
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
