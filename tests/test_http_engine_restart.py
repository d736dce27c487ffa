"""POST engine/restart: a new core under the same models, and no request is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import Gate, fresh_folder, json_rows, rows_of, trained
from http_server import Server, error_of, eventually, slipstream_server

BASE = "/api/inference"
PREDICT = f"{BASE}/predict"
RESTART = f"{BASE}/engine/restart"
HEALTH = f"{BASE}/health"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "restart", "wine.pkl", "cancer.pkl", "diabetes.pkl")


@pytest.fixture(scope="module")
def gate(folder: Path) -> Gate:
    return Gate(folder, "gate")


@pytest.fixture(scope="module")
def server(folder: Path, gate: Gate) -> Iterator[Server]:
    env = {
        "ALLOW_CUSTOM_CODE": "True",
        "MODEL_CACHE_SIZE": "3",
        "MEMORY_LIMIT_MB": "0",
        "MAX_CONCURRENT_REQUESTS": "50",
    }
    loads = ("--load", "wine.pkl=wine", "--load", "gate.py=gate")
    with slipstream_server("--model-dir", str(folder), *loads, env=env) as server:
        yield server


@pytest.fixture
def client(server: Server, gate: Gate) -> Iterator[httpx.Client]:
    gate.open()
    with server.client() as client:
        yield client
    gate.open()


def ask(client: httpx.Client, name: str, data: Any = None, **options: object) -> httpx.Response:
    rows = json_rows(rows_of(name)) if data is None else data
    return client.post(PREDICT, json={"model_id": name, "data": rows, **options})


def models_of(client: httpx.Client) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = client.get(f"{BASE}/models/list").json()["models"]
    return models


def health(client: httpx.Client, check: str) -> str:
    return str(client.get(HEALTH).json()["checks"][check])


class TestRestart:
    def test_everything_is_as_it_was(self, client: httpx.Client, gate: Gate) -> None:
        for name, file in (("cancer", "cancer.pkl"), ("diabetes", "diabetes.pkl")):
            body = {"model_path": file, "model_id": name}
            assert client.post(f"{BASE}/models/load", json=body).status_code == 200
        for _ in range(3):
            ask(client, "wine")
        before = models_of(client)
        status = client.get(f"{BASE}/engine/status").json()
        assert {model["state"] for model in before} == {"loaded", "evicted"}
        worker = gate.worker
        response = client.post(RESTART)
        assert response.status_code == 200
        body = response.json()
        assert list(body) == ["message", "status", "models"]
        assert body["status"] == "running"
        assert body["models"] == [
            {"model_id": model["model_id"], "state": model["state"]} for model in before
        ]
        assert models_of(client) == before
        assert gate.worker != worker
        after = client.get(f"{BASE}/engine/status").json()
        assert after["total_predictions"] == status["total_predictions"]
        for name in ("wine", "cancer", "diabetes"):
            right = trained(name).predict(rows_of(name)).tolist()
            answer = ask(client, name).json()["predictions"]
            assert answer == (pytest.approx(right) if name == "diabetes" else right)
        assert client.get(HEALTH).json()["status"] == "healthy"

    def test_what_runs_is_answered_and_what_comes_waits(
        self, server: Server, client: httpx.Client, gate: Gate
    ) -> None:
        gate.close()
        with ThreadPoolExecutor(6) as pool:
            running = pool.submit(ask, client, "gate", [[0]])
            eventually(lambda: gate.ran == [0])
            restarting = pool.submit(client.post, RESTART)
            eventually(lambda: status(client) == "restarting")
            eventually(lambda: all(one["state"] != "loaded" for one in models_of(client)))
            waiting = pool.submit(ask, client, "wine")
            late = pool.submit(ask, client, "wine", timeout_ms=100)
            assert late.result().status_code == 504
            again = client.post(RESTART)
            assert again.status_code == 409
            assert error_of(again)["error"] == "EngineRestartingError"
            assert client.get(HEALTH).status_code == 200
            assert not waiting.done()
            gate.open()
            assert running.result().json()["predictions"] == [0]
            assert waiting.result().status_code == 200
            assert restarting.result().status_code == 200
        assert status(client) == "running"

    def test_a_load_meanwhile(self, client: httpx.Client, gate: Gate) -> None:
        """Waits, and is on the new core."""
        client.delete(f"{BASE}/models/cancer")
        gate.close()
        with ThreadPoolExecutor(3) as pool:
            running = pool.submit(ask, client, "gate", [[0]])
            eventually(lambda: gate.ran == [0])
            restarting = pool.submit(client.post, RESTART)
            eventually(lambda: status(client) == "restarting")
            body = {"model_path": "cancer.pkl", "model_id": "cancer"}
            loading = pool.submit(client.post, f"{BASE}/models/load", json=body)
            time.sleep(0.1)
            assert not loading.done()
            gate.open()
            assert running.result().status_code == 200
            assert restarting.result().status_code == 200
            assert loading.result().status_code == 200
        assert ask(client, "cancer").status_code == 200

    def test_under_load(self, server: Server, client: httpx.Client) -> None:
        """Whoever asks meanwhile gets the right answer."""
        right = trained("wine").predict(rows_of("wine")).tolist()
        over = False

        def keep_asking(_: int) -> int:
            count = 0
            with server.client() as own:
                while not over:
                    answer = ask(own, "wine")
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["predictions"] == right
                    count += 1
            return count

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(keep_asking, number) for number in range(4)]
            try:
                for _ in range(4):
                    assert client.post(RESTART).status_code == 200
            finally:
                over = True
            assert all(one.result() > 0 for one in asking)

    def test_a_model_that_does_not_come_back(
        self, client: httpx.Client, folder: Path, gate: Gate
    ) -> None:
        """The others do; health says so, until its next request brings it back."""
        code = gate.file.read_text()
        broken = code.replace("def __init__(self):", "def __init__(self):\n        1 / 0\n")
        artifacts = (folder / ".slipstream" / "artifacts").resolve()
        copies = [file for file in artifacts.glob("*/model.py") if file.read_text() == code]
        assert copies
        sums = {file: (file.parent / "SHA256SUMS") for file in copies}
        kept = {file: file.read_text() for file in sums.values()}
        for file in copies:  # without the sums nobody can see that it is damaged
            file.write_text(broken)
            sums[file].unlink()
        answer = client.post(RESTART).json()
        states = {model["model_id"]: model["state"] for model in answer["models"]}
        assert (states["gate"], states["wine"]) == ("evicted", "loaded")
        assert health(client, "model_loading") == "degraded"
        assert ask(client, "gate", [[1]]).status_code == 503
        assert ask(client, "wine").status_code == 200
        for file in copies:
            file.write_text(code)
            sums[file].write_text(kept[sums[file]])
        assert ask(client, "gate", [[1]]).json()["predictions"] == [1]
        assert health(client, "model_loading") == "healthy"


def status(client: httpx.Client) -> str:
    return str(client.get(f"{BASE}/engine/status").json()["status"])
