"""A server with a model and a gate, and clients of its streams."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from http_models import Gate, fresh_folder, json_rows, rows_of
from http_server import Server, slipstream_server

START = "/api/inference/stream/start"
ROWS = json_rows(rows_of("wine"))
names = (f"s{number}" for number in itertools.count())


class Serving:
    """A server with the model ``wine`` and a gate, and a client of it."""

    def __init__(self, server: Server, client: httpx.Client, gate: Gate) -> None:
        self.server = server
        self.client = client
        self.gate = gate

    def start(self, model: str = "wine", **more: Any) -> Open:
        stream_id = next(names)
        response = self.client.post(START, json={"stream_id": stream_id, "model_id": model, **more})
        assert response.status_code == 200, response.text
        return Open(self.client, stream_id)


class Open:
    """One stream, as its client sees it."""

    def __init__(self, client: httpx.Client, stream_id: str) -> None:
        self.client = client
        self.stream_id = stream_id
        self.path = f"/api/inference/stream/{stream_id}"

    def try_send(self, number: int, data: Any, **more: Any) -> httpx.Response:
        body = {"sequence_id": number, "data": data, **more}
        return self.client.post(f"{self.path}/send", json=body)

    def send(self, number: int, data: Any, **more: Any) -> dict[str, Any]:
        response = self.try_send(number, data, **more)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def read(self, **query: Any) -> dict[str, Any]:
        response = self.client.get(f"{self.path}/results", params=query)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        assert list(answer) == ["stream_id", "results", "pending"]
        assert answer["stream_id"] == self.stream_id
        return answer

    def read_until(self, last: int) -> list[dict[str, Any]]:
        """All results up to that number, as they come."""
        results: list[dict[str, Any]] = []
        while not results or results[-1]["sequence_id"] < last:
            results += self.read(wait_ms=30_000)["results"]
        return results

    def close(self) -> dict[str, Any]:
        response = self.client.delete(self.path)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        assert list(answer) == ["message", "stream_id", "received", "delivered", "discarded"]
        assert answer["received"] == answer["delivered"] + answer["discarded"]
        return answer


@contextlib.contextmanager
def serve(factory: pytest.TempPathFactory, **env: str) -> Iterator[Serving]:
    folder = fresh_folder(factory, "streams", "wine.pkl", "sizes.py")
    gate = Gate(folder, "gate")
    files = {"wine": "wine.pkl", "sizes": "sizes.py", "gate": gate.file.name}
    loads = [word for name, file in files.items() for word in ("--load", f"{folder}/{file}={name}")]
    environment = {"ALLOW_CUSTOM_CODE": "True", **env}
    with (
        slipstream_server("--model-dir", str(folder), *loads, env=environment) as server,
        server.client() as client,
    ):
        yield Serving(server, client, gate)
        gate.open()


def ids(results: list[dict[str, Any]]) -> list[int]:
    return [result["sequence_id"] for result in results]
