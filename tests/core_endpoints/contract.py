"""Shorthands of the sections; what an answer must look like is written as the document has it."""

from __future__ import annotations

from typing import Any

import httpx

from http_server import core_error_of
from inference_engine_api.contract import TIME, answer, check, number_or_null

__all__ = ["OWNER", "TIME", "answer", "check", "number_or_null", "predict", "refused"]

OWNER = {"X-API-Key": "first-secret"}
"""For GET /stats, which always asks; the other endpoints do not look at it here."""


def predict(client: httpx.Client, model_name: str, inputs: Any, **more: Any) -> dict[str, Any]:
    """The answer of POST /predict, checked for everything that each has."""
    body = {"model_name": model_name, "inputs": inputs, **more}
    found: dict[str, Any] = answer(client.post("/predict", json=body))
    check({**found, "result": None}, PREDICTED | {"result": None})
    assert found["model_info"]["model"] == model_name
    assert found["processing_time"] > 0
    return found


PREDICTED = {
    "success": True,
    "result": None,
    "processing_time": float,
    "model_info": {
        "model": str,
        "device": "cpu",
        "input_type": ("single", "batch"),
        "input_count": int,
        "processing_path": ("inline", "queued", "batched", "remembered"),
    },
    "batch_info": {
        "inflight_batching_enabled": bool,
        "processed_as_batch": bool,
        "concurrent_optimization": bool,
    },
}


def refused(response: httpx.Response, status: int, error_type: str) -> dict[str, Any]:
    """The body of an error of this status and kind, checked for the documented format."""
    body = core_error_of(response)
    assert (response.status_code, body["error_type"]) == (status, error_type), response.text
    return body
