"""Section "Engine Management": status, configuration, restart, cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_server import Server, slipstream_server
from inference_engine_api.conftest import Known
from inference_engine_api.contract import (
    BASE,
    DURATION,
    FILLED,
    answer,
    check,
    number_or_null,
    refused,
)

DEFAULTS = {
    "max_batch_size": 64,
    "batch_timeout_ms": 100.0,
    "enable_quantization": True,
    "enable_compilation": True,
    "max_concurrent_requests": 100,
    "model_cache_size": 5,
    "memory_limit_mb": 2048,
}


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of its own, with the defaults: its configuration is changed here."""
    environment = {"STATE_DIR": str(tmp_path / "state")}
    with slipstream_server("--model-dir", "models", env=environment, cwd=folder.parent) as server:
        yield server


def test_status(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    shape: dict[str, Any] = {
        "status": "running",
        "uptime": DURATION,
        "loaded_models": 0,
        "active_requests": 1,
        "total_predictions": 0,
        "average_response_time": None,
        "memory_usage": {"total_mb": float, "used_mb": float, "free_mb": float},
        "cpu_usage": number_or_null(),
        "gpu_usage": number_or_null(),
    }
    check(answer(client.get(f"{BASE}/engine/status")), shape)
    model_id = load("wine.pkl")
    answer(
        client.post(f"{BASE}/predict", json={"data": known["wine"].data(1), "model_id": model_id})
    )
    busy = {"loaded_models": 1, "total_predictions": 1, "average_response_time": float}
    check(answer(client.get(f"{BASE}/engine/status")), shape | busy)


def test_configuration(client: httpx.Client) -> None:
    config = f"{BASE}/engine/config"
    check(answer(client.get(config)), DEFAULTS)
    change = {"max_batch_size": 128, "batch_timeout_ms": 50, "max_concurrent_requests": 200}
    changed = DEFAULTS | change | {"batch_timeout_ms": 50.0}
    check(answer(client.put(config, json=change)), changed)
    check(answer(client.get(config)), changed)
    refused(client.put(config, json={"max_batch_sise": 1}), 422, "InvalidInputError")
    wrong = {"memory_limit_mb": 4096, "max_batch_size": 0}
    refused(client.put(config, json=wrong), 422, "InvalidInputError")
    check(answer(client.get(config)), changed)


def test_restart(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    model_id = load("diabetes.pkl")
    restarted = answer(client.post(f"{BASE}/engine/restart"))
    check(restarted, {"message": FILLED, "status": "running", "models": (list, int)})
    body = {"data": known["diabetes"].data(1), "model_id": model_id}
    answer(client.post(f"{BASE}/predict", json=body))


def test_clearing_the_cache(client: httpx.Client) -> None:
    cleared = {"message": FILLED, "entries_cleared": int, "memory_freed_mb": float}
    check(answer(client.delete(f"{BASE}/engine/cache")), cleared)
