"""A server for async predictions, with a model that tests hold closed and two that are quick."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_models import Gate, fresh_folder
from http_server import Server, eventually, slipstream_server

PATH = "/api/inference/predict/async"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
KEYS = [
    "task_id", "status", "result", "completed_at", "error", "model_id", "submitted_at",
    "started_at", "queue_position", "estimated_completion", "callback",
]  # fmt: skip


class Place:
    """A server with a model that tests hold closed, and one that is quick."""

    def __init__(self, server: Server, gate: Gate, folder: Path) -> None:
        self.server = server
        self.gate = gate
        self.folder = folder
        self.client = server.client()

    def submit(self, rows: Any, model: str = "gated", **more: Any) -> str:
        response = self.client.post(PATH, json={"model_id": model, "data": rows, **more})
        assert response.status_code == 202, response.text
        return str(response.json()["task_id"])

    def get(self, task_id: str, wait_ms: int = 0) -> dict[str, Any]:
        response = self.client.get(f"{PATH}/{task_id}", params={"wait_ms": wait_ms})
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        assert list(body) == KEYS
        assert body["task_id"] == task_id
        return body

    def ended(self, task_id: str) -> dict[str, Any]:
        body = self.get(task_id, wait_ms=30_000)
        assert body["status"] not in ("queued", "running"), body
        assert re.fullmatch(MOMENT, body["completed_at"])
        assert body["queue_position"] is body["estimated_completion"] is None
        return body

    def hold(self) -> str:
        """Closes the gate behind a task that runs until it is opened."""
        self.gate.close()
        task_id = self.submit([[0]])
        eventually(lambda: self.gate.ran == [0.0])
        return task_id

    def let_go(self) -> None:
        """Opens the gate, and waits until the model is idle."""
        self.gate.open()
        self.ended(self.submit([[9]]))


def places(factory: pytest.TempPathFactory, name: str, **env: str) -> Iterator[Place]:
    """One instance, one task at a time: so that order and places can be told."""
    folder = fresh_folder(factory, name, "wine.pkl", "diabetes.pkl")
    gate = Gate(folder, "gated")
    loads = [word for one in ("wine.pkl=wine", "diabetes.pkl=diabetes", "gated.py=gated")
             for word in ("--load", f"{folder}/{one}")]  # fmt: skip
    env = {"ALLOW_CUSTOM_CODE": "True", "ASYNC_MAX_RUNNING": "1", **env}
    with slipstream_server("--model-dir", str(folder), *loads, env=env) as server:
        place = Place(server, gate, folder)
        yield place
        gate.open()
        place.client.close()
