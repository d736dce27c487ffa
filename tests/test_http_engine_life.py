"""What a server remembers: models that were loaded over HTTP are there again after a restart."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import fresh_folder, json_rows, rows_of
from http_server import slipstream_server
from network_models import write_digits

LOAD = "/api/inference/models/load"
LIST = "/api/inference/models/list"
PREDICT = "/api/inference/predict"
HEALTH = "/api/inference/health"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(
        tmp_path_factory, "remembered", "wine.pkl", "cancer.pkl", "pair.onnx", "sizes.py"
    )


def server_of(folder: Path, *arguments: str, cwd: Path | None = None, **env: str) -> Any:
    return slipstream_server("--model-dir", str(folder), *arguments, cwd=cwd, env=env)


def load(client: httpx.Client, path: str, **options: object) -> str:
    response = client.post(LOAD, json={"model_path": path, **options})
    assert response.status_code == 200, response.text
    return str(response.json()["model_id"])


def ids(client: httpx.Client) -> list[str]:
    return sorted(model["model_id"] for model in client.get(LIST).json()["models"])


def info_of(client: httpx.Client, model_id: str) -> dict[str, Any]:
    info: dict[str, Any] = client.get(f"/api/inference/models/{model_id}/info").json()
    return info


def loading_check(client: httpx.Client) -> str:
    return str(client.get(HEALTH).json()["checks"]["model_loading"])


@pytest.fixture(params=[signal.SIGTERM, signal.SIGKILL])
def ending(request: pytest.FixtureRequest) -> Iterator[int]:
    yield request.param


class TestWhatWasChosen:
    def test_a_quantized_model_is_quantized_again(self, folder: Path, ending: int) -> None:
        write_digits(folder / "network.onnx")
        body = {"data": [[0.5] * 64], "model_id": "network"}
        wanted = {"quantization_type": "FP16", "max_accuracy_loss_percent": 50}
        with server_of(folder) as server, server.client(timeout=120) as client:
            load(client, "network.onnx", model_id="network")
            path = "/api/inference/models/network/quantize"
            assert client.post(path, json=wanted).status_code == 200
            before = client.post(PREDICT, json=body).json()["predictions"]
            assert info_of(client, "network")["quantization"] == "FP16"
            server.stop(ending)
        with server_of(folder) as server, server.client() as client:
            assert info_of(client, "network")["quantization"] == "FP16"
            assert client.post(PREDICT, json=body).json()["predictions"] == before

    def test_a_compiled_model_is_compiled_again(self, folder: Path) -> None:
        with server_of(folder) as server, server.client() as client:
            load(client, "wine.pkl", model_id="wine", compile_model=False)
            assert info_of(client, "wine")["compiled"] is False
            assert client.post("/api/inference/models/wine/compile").status_code == 200
        with server_of(folder) as server, server.client() as client:
            assert info_of(client, "wine")["compiled"] is True


class TestRemembered:
    def test_after_a_restart(self, folder: Path, ending: int, tmp_path: Path) -> None:
        """Same ids, options and answers, also for a server that is started from elsewhere."""
        rows = json_rows(rows_of("wine"))
        with server_of(folder, cwd=folder) as server, server.client() as client:
            load(client, "./wine.pkl", model_id="reds", compile_model=False)
            derived = load(client, "cancer.pkl")
            load(client, "pair.onnx", model_id="gone")
            client.delete("/api/inference/models/gone")
            infos = [
                client.get(f"/api/inference/models/{i}/info").json() for i in ("reds", derived)
            ]
            before = client.post(PREDICT, json={"model_id": "reds", "data": rows}).json()
            server.stop(ending)
        with server_of(folder, cwd=tmp_path) as server, server.client() as client:
            assert ids(client) == sorted(["reds", derived])
            again = [
                client.get(f"/api/inference/models/{i}/info").json() for i in ("reds", derived)
            ]
            for old, new in zip(infos, again, strict=True):
                for key in ("model_id", "model_path", "model_type", "compiled", "backend"):
                    assert new[key] == old[key]
            after = client.post(PREDICT, json={"model_id": "reds", "data": rows}).json()
            assert after["predictions"] == before["predictions"]
            assert loading_check(client) == "healthy"

    def test_the_operator_wins(self, folder: Path) -> None:
        """By id, and by file: the command line, then models.json, then what is remembered."""
        (folder / "models.json").unlink(missing_ok=True)
        with server_of(folder) as server, server.client() as client:
            load(client, "wine.pkl", model_id="first")
            load(client, "cancer.pkl", model_id="second")
            load(client, "pair.onnx", model_id="third")
        listed = {"models": [{"model_path": "cancer.pkl", "model_id": "listed"}]}
        (folder / "models.json").write_text(json.dumps(listed))
        with server_of(folder, "--load", "wine.pkl=third") as server, server.client() as client:
            assert ids(client) == ["listed", "third"]
            assert info_of(client, "third")["model_path"] == "wine.pkl"
            assert loading_check(client) == "healthy"

    def test_a_model_that_is_gone(self, folder: Path) -> None:
        """Degrades health, loses no other, and comes back with its file."""
        kept = (folder / "wine.pkl").read_bytes()
        with server_of(folder) as server, server.client() as client:
            load(client, "wine.pkl", model_id="reds")
            load(client, "cancer.pkl", model_id="cells")
        (folder / "wine.pkl").unlink()
        with server_of(folder) as server, server.client() as client:
            assert ids(client) == ["cells"]
            health = client.get(HEALTH)
            assert health.status_code == 200
            assert health.json()["status"] == "degraded"
            assert loading_check(client) == "degraded"
            assert "wine.pkl is not served" in server.log
            (folder / "wine.pkl").write_bytes(kept)
            load(client, "wine.pkl", model_id="reds")
            assert loading_check(client) == "healthy"
        with server_of(folder) as server, server.client() as client:
            assert ids(client) == ["cells", "reds"]

    def test_a_missing_one_can_be_given_up(self, folder: Path) -> None:
        with server_of(folder) as server, server.client() as client:
            load(client, "wine.pkl", model_id="reds")
        (folder / "wine.pkl").unlink()
        with server_of(folder) as server, server.client() as client:
            assert loading_check(client) == "degraded"
            assert client.delete("/api/inference/models/reds").status_code == 200
            assert loading_check(client) == "healthy"
            assert client.delete("/api/inference/models/reds").status_code == 404
        with server_of(folder) as server, server.client() as client:
            assert loading_check(client) == "healthy"

    def test_a_damaged_registry(self, folder: Path) -> None:
        """Is kept aside; the server starts, and remembers again."""
        registry = folder / ".slipstream" / "registry.json"
        registry.write_text('{"models": [{"model_id":')
        with server_of(folder) as server, server.client() as client:
            assert ids(client) == []
            assert registry.with_suffix(".damaged").exists()
            assert loading_check(client) == "degraded"
            load(client, "wine.pkl", model_id="reds")
        with server_of(folder) as server, server.client() as client:
            assert ids(client) == ["reds"]
            assert loading_check(client) == "healthy"

    def test_damaged_experiments(self, folder: Path) -> None:
        """The same; health says that they are not there."""
        kept = folder / ".slipstream" / "experiments.json"
        kept.write_text('{"experiments":')
        leftover = kept.with_name(".experiments.json-killed")
        leftover.touch()
        os.utime(leftover, (0, 0))
        with server_of(folder) as server, server.client() as client:
            assert loading_check(client) == "degraded"
            load(client, "wine.pkl", model_id="reds")
            drawn = {"variants": [{"model_id": "reds", "weight": 1}]}
            assert client.put("/api/inference/experiments/ab", json=drawn).status_code == 201
        assert not leftover.exists(), "of a server that was killed while it wrote"
        with server_of(folder) as server, server.client() as client:
            assert loading_check(client) == "healthy"
            assert client.get("/api/inference/experiments/ab").status_code == 200

    def test_a_damaged_database_of_tasks(self, folder: Path) -> None:
        """The same; tasks are taken again."""
        database = folder / ".slipstream" / "tasks.db"
        database.write_bytes(b"garbage" * 1000)
        for expected in ("degraded", "healthy"):
            with server_of(folder) as server, server.client() as client:
                assert loading_check(client) == expected
                load(client, "wine.pkl", model_id="reds") if expected == "degraded" else None
                asked = {"model_id": "reds", "data": json_rows(rows_of("wine", 2))}
                task = client.post("/api/inference/predict/async", json=asked)
                assert task.status_code == 202, task.text
        assert database.with_name("tasks.db.damaged").read_bytes() == b"garbage" * 1000

    def test_a_state_that_cannot_be_written(self, folder: Path) -> None:
        """Nothing is loaded that would be forgotten."""
        (folder / ".slipstream" / "registry.json").mkdir()
        with server_of(folder) as server, server.client() as client:
            response = client.post(LOAD, json={"model_path": "wine.pkl"})
            assert response.status_code == 503
            assert response.json()["error"] == "UnavailableError"
            assert ids(client) == []
