"""PUT engine/config: what changes while the server runs, and what the next start knows of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import Gate, fresh_folder, json_rows, rows_of
from http_server import Server, error_of, eventually, slipstream_server

CONFIG = "/api/inference/engine/config"
PREDICT = "/api/inference/predict"
BATCH = "/api/inference/predict/batch"
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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "config", "wine.pkl", "cancer.pkl", "sizes.py")


def server_of(folder: Path, *arguments: str, **env: str) -> Any:
    return slipstream_server(
        "--model-dir", str(folder), *arguments, env={"ALLOW_CUSTOM_CODE": "True"} | env
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = fresh_folder(tmp_path_factory, "config-once", "wine.pkl", "sizes.py")
    with server_of(folder, "--load", "sizes.py=sizes") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Of a server with nothing but defaults."""
    with server.client() as client:
        assert client.put(CONFIG, json=DEFAULTS).json() == DEFAULTS
        yield client


def largest_batch(client: httpx.Client, count: int, **options: object) -> float:
    """Of the executions that a request of so many rows was split into."""
    body = {"model_id": "sizes", "data": [[0.0]] * count, **options}
    response = client.post(BATCH, json=body)
    assert response.status_code == 200, response.text
    return float(max(response.json()["predictions"]))


class TestTheCall:
    def test_part_of_it(self, client: httpx.Client) -> None:
        changes = {"max_batch_size": 128, "batch_timeout_ms": 50, "max_concurrent_requests": 200}
        response = client.put(CONFIG, json=changes)
        assert response.status_code == 200
        assert response.json() == DEFAULTS | changes
        assert list(response.json()) == list(DEFAULTS)
        assert client.get(CONFIG).json() == DEFAULTS | changes

    def test_nothing(self, client: httpx.Client) -> None:
        response = client.put(CONFIG, json={})
        assert (response.status_code, response.json()) == (200, DEFAULTS)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("max_batch_size", 0),
            ("max_batch_size", "128"),
            ("max_batch_size", True),
            ("max_batch_size", 1.5),
            ("max_batch_size", None),
            ("batch_timeout_ms", -1),
            ("batch_timeout_ms", [50]),
            ("enable_compilation", 1),
            ("enable_compilation", "True"),
            ("max_concurrent_requests", 0),
            ("model_cache_size", -1),
            ("memory_limit_mb", {}),
        ],
    )
    def test_one_wrong_value_changes_nothing(
        self, client: httpx.Client, name: str, value: object
    ) -> None:
        response = client.put(
            CONFIG, json={"max_batch_size": 7, "memory_limit_mb": 99, name: value}
        )
        assert response.status_code == 422
        error = error_of(response)
        assert error["error"] == "InvalidInputError"
        assert error["details"]["keys"] == [name]
        assert name in error["message"]
        assert client.get(CONFIG).json() == DEFAULTS

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("max_batchsize", "did you mean 'max_batch_size'"),
            ("api_keys", "cannot change while the server runs"),
            ("zzz", "is no setting"),
        ],
    )
    def test_an_unknown_key(self, client: httpx.Client, name: str, words: str) -> None:
        response = client.put(CONFIG, json={"max_batch_size": 7, name: 1})
        assert response.status_code == 422
        assert words in error_of(response)["message"]
        assert client.get(CONFIG).json() == DEFAULTS

    @pytest.mark.parametrize(("body", "status"), [("[]", 422), ("{", 400), ("", 400)])
    def test_no_object(self, client: httpx.Client, body: str, status: int) -> None:
        assert client.put(CONFIG, content=body).status_code == status

    @pytest.mark.parametrize("name", ["batch_timeout_ms", "max_batch_size"])
    def test_a_number_beyond_all(self, client: httpx.Client, name: str) -> None:
        response = client.put(CONFIG, content=f'{{"{name}": 1{"0" * 400}}}')
        assert response.status_code in (400, 422)
        assert client.get(CONFIG).json() == DEFAULTS

    def test_a_state_that_cannot_be_written(self, folder: Path) -> None:
        """What would be forgotten is not done."""
        with server_of(folder, "--load", "sizes.py=sizes") as server, server.client() as client:
            (folder / ".slipstream" / "settings.json").mkdir()
            response = client.put(CONFIG, json={"max_batch_size": 7})
            assert response.status_code == 503
            assert "settings.json" in error_of(response)["message"]
            assert client.get(CONFIG).json() == DEFAULTS
            assert largest_batch(client, 100) == 64


class TestInForce:
    def test_max_batch_size(self, client: httpx.Client) -> None:
        """Of models that are loaded, for the rows of a request and for what it may ask."""
        assert largest_batch(client, 100) == 64
        client.put(CONFIG, json={"max_batch_size": 100})
        assert largest_batch(client, 100) == 100
        assert largest_batch(client, 100, batch_size=90) == 90
        client.put(CONFIG, json={"max_batch_size": 8})
        assert largest_batch(client, 100) == 8
        assert largest_batch(client, 100, batch_size=90) == 8
        client.post("/api/inference/models/sizes/reload")
        assert largest_batch(client, 100) == 8

    def test_enable_compilation(self, client: httpx.Client) -> None:
        client.put(CONFIG, json={"enable_compilation": False})
        body = {"model_path": "wine.pkl", "model_id": "wine"}
        loaded = client.post("/api/inference/models/load", json=body).json()
        assert not loaded["compiled"]
        assert "ENABLE_COMPILATION" in loaded["reason"]
        client.put(CONFIG, json={"enable_compilation": True})
        assert client.post("/api/inference/models/wine/reload").json()["compiled"]

    def test_max_concurrent_requests(self, folder: Path) -> None:
        """Lowered, those that are in stay; raised, more come in. Both ways of a prediction."""
        gate = Gate(folder, "gate")

        def ask(server: Server, value: float) -> int:
            with server.client() as client:
                return client.post(PREDICT, json={"data": [[value]]}).status_code

        with server_of(folder, "--load", "gate.py=gate") as server, server.client() as client:
            gate.close()
            with ThreadPoolExecutor(8) as pool:
                waiting = [pool.submit(ask, server, 0)]
                eventually(lambda: gate.ran == [0])
                waiting += [pool.submit(ask, server, value) for value in (1, 2)]
                eventually(lambda: active(client) == 4)
                assert client.put(CONFIG, json={"max_concurrent_requests": 3}).status_code == 200
                refused = client.post(PREDICT, json={"data": [[9]]})
                assert refused.status_code == 503
                assert refused.headers["retry-after"]
                assert refused.json()["details"]["max_concurrent_requests"] == 3
                health = client.get("/api/inference/health").json()
                assert health["checks"]["inference_performance"] == "degraded"
                gate.open()
                assert [one.result() for one in waiting] == [200, 200, 200]
            assert client.put(CONFIG, json={"max_concurrent_requests": 50}).status_code == 200
            health = client.get("/api/inference/health").json()
            assert health["checks"]["inference_performance"] == "healthy"
            assert ask(server, 1) == 200

    def test_memory_limit(self, client: httpx.Client) -> None:
        def memory() -> str:
            return str(client.get("/api/inference/health").json()["checks"]["memory_usage"])

        client.put(CONFIG, json={"memory_limit_mb": 1})
        assert memory() == "degraded"
        client.put(CONFIG, json={"memory_limit_mb": 20_000})
        assert memory() == "healthy"


def active(client: httpx.Client) -> int:
    return int(client.get("/api/inference/engine/status").json()["active_requests"])


class TestTheNextStart:
    def test_it_stands_above_the_environment(self, folder: Path) -> None:
        (folder / "slipstream.toml").write_text("max_batch_size = 11\nmodel_cache_size = 3\n")
        arguments = ("--config", str(folder / "slipstream.toml"))
        env = {"MAX_BATCH_SIZE": "12", "MEMORY_LIMIT_MB": "4000"}
        with server_of(folder, *arguments, **env) as server, server.client() as client:
            before = client.get(CONFIG).json()
            assert (before["max_batch_size"], before["memory_limit_mb"]) == (12, 4000)
            assert before["model_cache_size"] == 3
            client.put(CONFIG, json={"max_batch_size": 13})
            client.put(CONFIG, json={"enable_quantization": False})
        with server_of(folder, *arguments, **env) as server, server.client() as client:
            after = client.get(CONFIG).json()
            assert after == before | {"max_batch_size": 13, "enable_quantization": False}
        stored = json.loads((folder / ".slipstream" / "settings.json").read_text())
        assert stored == {"max_batch_size": 13, "enable_quantization": False}

    def test_max_batch_size_of_models_that_are_loaded_then(self, folder: Path) -> None:
        with server_of(folder, "--load", "sizes.py=sizes") as server, server.client() as client:
            client.put(CONFIG, json={"max_batch_size": 9})
        with server_of(folder, "--load", "sizes.py=sizes") as server, server.client() as client:
            assert largest_batch(client, 30) == 9

    def test_a_damaged_file_is_named(self, folder: Path) -> None:
        (folder / ".slipstream" / "settings.json").write_text("{")
        said = pytest.raises(AssertionError, match=r"settings\.json: cannot be read")
        with said, server_of(folder):
            raise RuntimeError("it has started")


def test_rows_keep_their_answers_while_the_size_changes(folder: Path) -> None:
    """Requests in progress are answered whole, whatever the size is meanwhile."""
    rows = json_rows(rows_of("wine", 150))
    with server_of(folder, "--load", "wine.pkl=wine") as server, server.client() as client:
        right = client.post(BATCH, json={"data": rows}).json()["predictions"]

        def ask(_: int) -> bool:
            with server.client() as own:
                return all(
                    own.post(BATCH, json={"data": rows}).json()["predictions"] == right
                    for _ in range(30)
                )

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask, number) for number in range(4)]
            for size in (1, 7, 64, 3, 200, 16) * 3:
                assert client.put(CONFIG, json={"max_batch_size": size}).status_code == 200
            assert all(one.result() for one in asking)
