"""Section "Health Check": GET /health."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core_endpoints.contract import answer, check, number_or_null, predict
from http_models import Gate
from http_server import Server, eventually, slipstream_server


def test_keys(client: httpx.Client) -> None:
    predict(client, "example", [1, 2])
    before = time.time()
    found = answer(client.get("/health"))
    check(
        found,
        {
            "healthy": True,
            "checks": {
                "inference_engine": True,
                "model": True,
                "device": True,
                "memory": bool,
                "performance": True,
            },
            "timestamp": float,
            "engine_stats": {
                "requests_processed": int,
                "avg_processing_time": number_or_null(),
                "active_requests": int,
            },
            "autoscaler": {
                "healthy": bool,
                "state": str,
                "components": {
                    "zero_scaler": {
                        "status": str,
                        "last_activity": number_or_null(),
                        "cold_starts": int,
                        "average_cold_start_s": number_or_null(),
                        "last_cold_start_s": number_or_null(),
                    },
                    "model_loader": {"status": "healthy", "active_loaders": 0, "waiting": 0},
                    "instances": {"status": "healthy", "models": [], "last_actions": []},
                },
            },
        },
    )
    assert before - 1 < found["timestamp"] < time.time() + 1
    assert found["engine_stats"]["avg_processing_time"] > 0


def test_predictions_are_counted(client: httpx.Client) -> None:
    def processed() -> int:
        count: int = answer(client.get("/health"))["engine_stats"]["requests_processed"]
        return count

    before = processed()
    for _ in range(7):
        predict(client, "example", [1, 2])
    eventually(lambda: processed() == before + 7)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Server, Gate]]:
    """A server that takes two requests at once, with a model that the test holds."""
    folder = tmp_path / "models"
    folder.mkdir()
    gate = Gate(folder, "gated")
    (folder / "broken.onnx").write_bytes(b"no graph")
    (folder / "models.json").write_text(
        '{"models": [{"model_path": "broken.onnx", "model_id": "broken"}]}'
    )
    environment = {
        "ALLOW_CUSTOM_CODE": "True",
        "MAX_CONCURRENT_REQUESTS": "1",
        "DRAIN_TIMEOUT_S": "20",
    }
    with slipstream_server(
        *("--model-dir", str(folder), "--load", "gated.py=gated"), env=environment
    ) as server:
        yield server, gate
        gate.open()


def test_a_model_that_is_missing(small: tuple[Server, Gate]) -> None:
    """Degraded is healthy: the others are served."""
    with small[0].client() as client:
        found = answer(client.get("/health"))
        assert found["healthy"] is True
        assert found["checks"]["model"] is False
        assert found["autoscaler"]["components"]["model_loader"]["status"] == "degraded"


def test_a_server_that_shuts_down(small: tuple[Server, Gate]) -> None:
    """It finishes what is in progress, tells so, and answers health with 503, at full load too."""
    server, gate = small
    gate.close()
    body = b'{"model_name": "gated", "inputs": [0, 1]}'
    with server.connect() as working, server.client() as client:
        working.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        eventually(lambda: answer(client.get("/health"))["engine_stats"]["active_requests"] == 1)
        full = answer(client.get("/health"))
        assert full["healthy"] and not full["checks"]["performance"]
        server.process.terminate()
        told = []

        def is_unhealthy() -> bool:
            try:
                response = client.get("/health")
            except httpx.TransportError:  # no new connections: this one was closed
                return True
            told.append(response)
            return response.status_code == 503

        eventually(is_unhealthy)
        if told and told[-1].status_code == 503:
            found = told[-1].json()
            assert found["healthy"] is False
            assert found["checks"]["inference_engine"] is False
        gate.open()
        assert b"200" in working.makefile("rb").readline()
