"""Health degrades and recovers with what it looks at; a server that is asked, not a formula."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import Gate, fresh_folder
from http_server import eventually, slipstream_server

BASE = "/api/inference"
HEALTH = f"{BASE}/health"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "health")


@pytest.fixture(scope="module")
def gate(folder: Path) -> Gate:
    return Gate(folder, "gate")


@pytest.fixture(scope="module")
def client(folder: Path, gate: Gate) -> Iterator[httpx.Client]:
    env = {"ALLOW_CUSTOM_CODE": "True"}
    server = slipstream_server("--model-dir", str(folder), "--load", "gate.py=gate", env=env)
    with server as running, running.client() as client:
        yield client


def ask(client: httpx.Client, name: str, data: Any) -> httpx.Response:
    return client.post(f"{BASE}/predict", json={"model_id": name, "data": data})


def health(client: httpx.Client, check: str) -> str:
    return str(client.get(HEALTH).json()["checks"][check])


def test_a_full_queue(client: httpx.Client, gate: Gate) -> None:
    gate.close()
    entries = [{"model_id": "gate", "data": [[value]]} for value in range(1000)]
    with ThreadPoolExecutor(1) as pool:
        body = {"requests": entries}
        asking = pool.submit(client.post, f"{BASE}/predict/multi-batch", json=body)
        eventually(lambda: health(client, "inference_performance") == "degraded")
        gate.open()
        assert asking.result().json()["successful_requests"] == 1000
    assert health(client, "inference_performance") == "healthy"


def test_a_worker_that_keeps_dying(client: httpx.Client, gate: Gate) -> None:
    """Until the model is reloaded, or a minute has passed without."""
    assert health(client, "engine_status") == "healthy"
    for _ in range(3):
        os.kill(gate.worker, signal.SIGKILL)
        eventually(lambda: ask(client, "gate", [[1]]).status_code == 200)
    assert health(client, "engine_status") == "degraded"
    assert client.get(HEALTH).status_code == 200
    assert client.post(f"{BASE}/models/gate/reload").status_code == 200
    assert health(client, "engine_status") == "healthy"


def test_errors(client: httpx.Client, folder: Path) -> None:
    """Of a model; once it is loaded anew, they are the old version's."""
    (folder / "fails.py").write_text(
        "class Fails:\n    def predict(self, rows):\n        if rows[0, 0] == 1:\n"
        "            raise ValueError('no')\n        return rows[:, 0]\n\nENTRY = Fails\n"
    )
    body = {"model_path": "fails.py", "model_id": "fails"}
    assert client.post(f"{BASE}/models/load", json=body).status_code == 200
    assert health(client, "inference_performance") == "healthy"
    for _ in range(200):
        assert ask(client, "fails", [[1]]).status_code == 422
    assert health(client, "inference_performance") == "degraded"
    assert client.post(f"{BASE}/models/fails/reload").status_code == 200
    assert health(client, "inference_performance") == "healthy"
