"""Models that do not fit into memory rest, and come back with their next request."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from pytest import approx

from http_models import fresh_folder, json_rows, rows_of, trained
from http_server import Server, error_of, eventually, slipstream_server

BASE = "/api/inference"
PREDICT = f"{BASE}/predict"
FILES = {"wine": "wine.pkl", "cancer": "cancer.pkl", "diabetes": "diabetes.pkl"}

SLOW = """
import time
from pathlib import Path

import numpy as np

HERE = Path({folder!r})

class Slow:
    batchable = False

    def __init__(self):
        with open(HERE / "loads", "a") as loads:
            loads.write("x")
        while (HERE / "held").exists():
            time.sleep(0.005)
        if (HERE / "broken").exists():
            raise RuntimeError("it is broken today")

    def predict(self, rows):
        with open(HERE / "ran", "a") as ran:
            ran.write(f"{{rows[0, 0]:g}}\\n")
        while rows[0, 0] == 0 and (HERE / "busy").exists():
            time.sleep(0.005)
        return rows[:, 0]

ENTRY = Slow
"""


class Slow:
    """A custom model whose loading and whose requests for 0 the test holds up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "slow"
        self.folder.mkdir()
        (folder / "slow.py").write_text(SLOW.format(folder=str(self.folder)))

    @property
    def loads(self) -> int:
        return len((self.folder / "loads").read_text())

    @property
    def ran(self) -> list[float]:
        return [float(line) for line in (self.folder / "ran").read_text().splitlines()]

    @contextlib.contextmanager
    def being(self, what: str) -> Iterator[None]:
        (self.folder / what).touch()
        try:
            yield
        finally:
            (self.folder / what).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "eviction", *FILES.values(), "pair.onnx", "sizes.py")


@pytest.fixture(scope="module")
def slow(folder: Path) -> Slow:
    return Slow(folder)


@pytest.fixture(scope="module")
def server(folder: Path, slow: Slow) -> Iterator[Server]:
    env = {"ALLOW_CUSTOM_CODE": "True", "MEMORY_LIMIT_MB": "0"}
    with slipstream_server("--model-dir", str(folder), env=env) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Of a server that has no models, and room for two."""
    with server.client() as client:
        for model in client.get(f"{BASE}/models/list").json()["models"]:
            assert client.delete(f"{BASE}/models/{model['model_id']}").status_code == 200
        assert client.put(
            f"{BASE}/engine/config", json={"model_cache_size": 2, "memory_limit_mb": 0}
        ).is_success
        yield client


def load(client: httpx.Client, *names: str) -> None:
    for name in names:
        file = FILES.get(name, f"{name}.py")
        response = client.post(f"{BASE}/models/load", json={"model_path": file, "model_id": name})
        assert response.status_code == 200, response.text


def states(client: httpx.Client) -> dict[str, str]:
    models = client.get(f"{BASE}/models/list").json()["models"]
    return {model["model_id"]: model["state"] for model in models}


def info(client: httpx.Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{BASE}/models/{name}/info").json()
    return found


def ask(client: httpx.Client, name: str, rows: Any = None, **options: object) -> httpx.Response:
    data = json_rows(rows_of(name)) if rows is None else rows
    return client.post(PREDICT, json={"model_id": name, "data": data, **options})


def check(client: httpx.Client, name: str) -> str:
    return str(client.get(f"{BASE}/health").json()["checks"][name])


def evict_slow(client: httpx.Client) -> None:
    """Two others are used, for which it has to make room."""
    load(client, "slow", "wine", "cancer")
    assert states(client)["slow"] == "evicted"


class TestTheLeastRecentlyUsed:
    def test_goes_and_comes_back(self, client: httpx.Client) -> None:
        load(client, "wine", "cancer")
        before = ask(client, "wine").json()["predictions"]
        ask(client, "wine")
        load(client, "diabetes")
        assert states(client) == {"wine": "loaded", "cancer": "evicted", "diabetes": "loaded"}
        assert client.get(f"{BASE}/engine/status").json()["loaded_models"] == 2
        ask(client, "cancer")
        assert states(client) == {"wine": "evicted", "cancer": "loaded", "diabetes": "loaded"}
        assert info(client, "wine")["memory_usage_mb"] == 0
        after = ask(client, "wine")
        assert after.status_code == 200
        assert after.json()["predictions"] == before
        assert states(client) == {"wine": "loaded", "cancer": "loaded", "diabetes": "evicted"}

    def test_counters_survive(self, client: httpx.Client) -> None:
        load(client, "wine")
        for _ in range(3):
            ask(client, "wine")
        total = client.get(f"{BASE}/engine/status").json()["total_predictions"]
        loaded = info(client, "wine")
        load(client, "cancer", "diabetes")
        rested = info(client, "wine")
        assert rested["state"] == "evicted"
        for key in ("inference_count", "average_inference_time", "last_used", "loaded_at"):
            assert rested[key] == loaded[key]
        assert client.get(f"{BASE}/engine/status").json()["total_predictions"] == total
        ask(client, "wine")
        metrics = client.get(f"{BASE}/models/wine/metrics").json()
        assert metrics["inference_count"] == 4
        assert metrics["total_inference_time"] > 3 * loaded["average_inference_time"]
        assert client.get(f"{BASE}/engine/status").json()["total_predictions"] == total + 1

    def test_a_smaller_cache_at_once(self, client: httpx.Client) -> None:
        load(client, "wine", "cancer")
        client.put(f"{BASE}/engine/config", json={"model_cache_size": 1})
        assert sorted(states(client).values()) == ["evicted", "loaded"]
        client.put(f"{BASE}/engine/config", json={"model_cache_size": 0})
        load(client, "diabetes")
        ask(client, "wine")
        ask(client, "cancer")
        assert set(states(client).values()) == {"loaded"}

    def test_a_load_that_fails_evicts_nobody(self, client: httpx.Client, folder: Path) -> None:
        load(client, "wine", "cancer")
        (folder / "junk.pkl").write_bytes(b"no model")
        response = client.post(f"{BASE}/models/load", json={"model_path": "junk.pkl"})
        assert response.status_code == 422
        assert set(states(client).values()) == {"loaded"}

    def test_by_every_way_of_asking(self, client: httpx.Client) -> None:
        rows = rows_of("wine")
        right = trained("wine").predict(rows).tolist()
        load(client, "wine", "cancer", "diabetes")

        def rest() -> None:
            ask(client, "cancer")
            ask(client, "diabetes")
            assert states(client)["wine"] == "evicted"

        rest()
        both = {"requests": [{"model_id": n, "data": json_rows(rows_of(n))} for n in FILES]}
        results = client.post(f"{BASE}/predict/multi-batch", json=both).json()["results"]
        assert [one["status"] for one in results] == ["success"] * 3
        assert results[0]["predictions"] == right
        rest()
        batch = {"model_id": "wine", "data": json_rows(rows), "return_probabilities": True}
        assert client.post(f"{BASE}/predict/batch", json=batch).json()["predictions"] == right
        rest()
        packed = msgspec.msgpack.encode({"model_id": "wine", "data": json_rows(rows)})
        headers = {"content-type": "application/msgpack"}
        answer = client.post(PREDICT, content=packed, headers=headers)
        assert msgspec.msgpack.decode(answer.content)["predictions"] == right
        rest()
        values = np.asarray(rows, np.float64)
        headers = {
            "content-type": "application/octet-stream",
            "x-tensor-dtype": "float64",
            "x-tensor-shape": ",".join(map(str, values.shape)),
            "accept": "application/json",
        }
        answer = client.post(f"{PREDICT}?model_id=wine", content=values.tobytes(), headers=headers)
        assert answer.json()["predictions"] == right, answer.text

    def test_bad_input_brings_nobody_back(self, client: httpx.Client) -> None:
        load(client, "wine", "cancer", "diabetes")
        assert ask(client, "wine", [[1.0, "x"]]).status_code == 422
        assert states(client)["wine"] == "evicted"

    def test_pinned_models_stay(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = fresh_folder(tmp_path_factory, "pinned", *FILES.values())
        env = {"MODEL_CACHE_SIZE": "1", "MEMORY_LIMIT_MB": "1"}
        arguments = ("--model-dir", str(folder), "--load", "wine.pkl=wine")
        with slipstream_server(*arguments, env=env) as server, server.client() as client:
            load(client, "cancer", "diabetes")
            eventually(lambda: states(client)["diabetes"] == "evicted")
            assert states(client) == {"wine": "loaded", "cancer": "evicted", "diabetes": "evicted"}
            assert check(client, "memory_usage") == "degraded"
            assert ask(client, "cancer").status_code == 200


class TestMemory:
    def test_over_the_limit(self, client: httpx.Client) -> None:
        """Everything that is idle rests; if that is not enough, health says so, until it is."""
        load(client, "wine", "cancer")
        client.put(f"{BASE}/engine/config", json={"memory_limit_mb": 1})
        assert set(states(client).values()) == {"evicted"}
        assert check(client, "memory_usage") == "degraded"
        assert ask(client, "wine").status_code == 200
        client.put(f"{BASE}/engine/config", json={"memory_limit_mb": 100_000})
        assert check(client, "memory_usage") == "healthy"
        assert ask(client, "cancer").status_code == 200
        assert set(states(client).values()) == {"loaded"}


class TestWaiting:
    def test_one_load_however_many_wait(
        self, server: Server, client: httpx.Client, slow: Slow
    ) -> None:
        evict_slow(client)
        loads = slow.loads
        with ThreadPoolExecutor(20) as pool:
            with slow.being("held"):
                waiting = [pool.submit(ask, client, "slow", [[value]]) for value in range(1, 21)]
                eventually(lambda: states(client)["slow"] == "loading")
                eventually(lambda: queued(client) == 20)
            for value, one in enumerate(waiting, start=1):
                assert one.result().json()["predictions"] == [value]
        assert slow.loads == loads + 1
        assert info(client, "slow")["inference_count"] == 20

    def test_priorities_hold(self, client: httpx.Client, slow: Slow) -> None:
        evict_slow(client)
        (slow.folder / "ran").write_text("")
        wanted = [(3, "low"), (1, "normal"), (2, "normal"), (9, "urgent"), (5, "high")]
        with ThreadPoolExecutor(5) as pool, slow.being("held"):
            waiting: list[Future[httpx.Response]] = []
            for value, priority in wanted:
                waiting.append(pool.submit(ask, client, "slow", [[value]], priority=priority))
                eventually(lambda: queued(client) == len(waiting))
            (slow.folder / "held").unlink()
            assert [one.result().status_code for one in waiting] == [200] * 5
        # The first may have begun before the others were in their lanes.
        assert slow.ran[0] == 9
        assert slow.ran.index(3) == 4

    def test_deadlines_hold(self, client: httpx.Client, slow: Slow) -> None:
        evict_slow(client)
        with slow.being("held"), ThreadPoolExecutor(1) as pool:
            patient = pool.submit(ask, client, "slow", [[7]], timeout_ms=20_000)
            late = ask(client, "slow", [[1]], timeout_ms=100)
            assert late.status_code == 504
            assert error_of(late)["error"] == "DeadlineExceededError"
            assert not patient.done()
            (slow.folder / "held").unlink()
            assert patient.result().json()["predictions"] == [7]
        assert 1 not in slow.ran[-2:]

    def test_a_client_that_hangs_up(self, server: Server, client: httpx.Client, slow: Slow) -> None:
        evict_slow(client)
        with slow.being("held"):
            body = json.dumps({"model_id": "slow", "data": [[4]]}).encode()
            connection = server.connect()
            connection.sendall(
                b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
                % (PREDICT.encode(), len(body), body)
            )
            eventually(lambda: queued(client) == 1)
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            eventually(lambda: queued(client) == 0)
        eventually(lambda: states(client)["slow"] == "loaded")
        assert ask(client, "slow", [[8]]).status_code == 200
        assert slow.ran[-1] == 8
        assert 4 not in slow.ran[-2:]

    def test_unloaded_meanwhile(self, client: httpx.Client, slow: Slow) -> None:
        evict_slow(client)
        with ThreadPoolExecutor(1) as pool, slow.being("held"):
            waiting = pool.submit(ask, client, "slow", [[1]])
            eventually(lambda: queued(client) == 1)
            assert client.delete(f"{BASE}/models/slow").status_code == 200
            assert waiting.result().status_code == 503
        assert "slow" not in states(client)
        load(client, "slow")
        assert ask(client, "slow", [[1]]).status_code == 200

    def test_reloaded_while_it_rests(self, client: httpx.Client, slow: Slow) -> None:
        evict_slow(client)
        assert client.post(f"{BASE}/models/slow/reload").status_code == 200
        assert states(client)["slow"] == "loaded"
        assert ask(client, "slow", [[1]]).status_code == 200

    def test_one_that_does_not_come_back(self, client: httpx.Client, slow: Slow) -> None:
        """Says why, degrades health, and is tried again by the next request."""
        evict_slow(client)
        with slow.being("broken"):
            failed = ask(client, "slow", [[1]])
            assert failed.status_code == 503
            assert "could not be loaded again" in error_of(failed)["message"]
            assert states(client)["slow"] == "evicted"
            assert check(client, "model_loading") == "degraded"
        assert ask(client, "slow", [[1]]).status_code == 200
        assert check(client, "model_loading") == "healthy"

    def test_a_damaged_artifact_is_made_again(self, client: httpx.Client, folder: Path) -> None:
        load(client, "wine", "cancer", "diabetes")
        artifacts = (folder / ".slipstream" / "artifacts").resolve()
        for forest in artifacts.glob("*/model.forest"):
            kept = forest.read_bytes()
            forest.unlink()  # those that are in memory keep theirs
            forest.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        right = trained("wine").predict(rows_of("wine")).tolist()
        assert ask(client, "wine").json()["predictions"] == right


class TestDraining:
    def test_what_runs_is_answered(self, client: httpx.Client, slow: Slow) -> None:
        """All are busy or newer, so the busy one has to go; first it answers what it has."""
        client.put(f"{BASE}/engine/config", json={"model_cache_size": 1})
        load(client, "slow")
        (slow.folder / "ran").write_text("")
        with ThreadPoolExecutor(4) as pool, slow.being("busy"):
            running = pool.submit(ask, client, "slow", [[0]])
            eventually(lambda: slow.ran == [0])
            queued_behind = pool.submit(ask, client, "slow", [[1]])
            eventually(lambda: queued(client) == 2)
            loading = pool.submit(load, client, "wine")
            eventually(lambda: states(client)["slow"] == "evicted")
            after = pool.submit(ask, client, "slow", [[2]])
            (slow.folder / "busy").unlink()
            answered = running.result()
            assert answered.status_code == 200, answered.text
            assert queued_behind.result().json()["predictions"] == [1]
            assert after.result().json()["predictions"] == [2]
            loading.result()

    def test_another_goes_before_a_busy_one(self, client: httpx.Client, slow: Slow) -> None:
        load(client, "slow", "wine")
        ask(client, "wine")
        (slow.folder / "ran").write_text("")
        with ThreadPoolExecutor(1) as pool, slow.being("busy"):
            running = pool.submit(ask, client, "slow", [[0]])
            eventually(lambda: slow.ran == [0])
            load(client, "cancer")
            assert states(client) == {"slow": "loaded", "wine": "evicted", "cancer": "loaded"}
            (slow.folder / "busy").unlink()
            assert running.result().status_code == 200

    def test_under_load_every_request_is_answered(
        self, server: Server, client: httpx.Client
    ) -> None:
        """Three models, room for one, several clients: all answers come, and are right."""
        client.put(f"{BASE}/engine/config", json={"model_cache_size": 1})
        load(client, *FILES)
        right = {name: trained(name).predict(rows_of(name)).tolist() for name in FILES}
        until = time.monotonic() + 4

        def keep_asking(name: str) -> int:
            count = 0
            with server.client() as own:
                while time.monotonic() < until:
                    response = ask(own, name)
                    assert response.status_code == 200, response.text
                    predicted = response.json()["predictions"]
                    assert predicted == (approx(right[name]) if name == "diabetes" else right[name])
                    count += 1
            return count

        with ThreadPoolExecutor(6) as pool:
            counts = list(pool.map(keep_asking, [*FILES, *FILES]))
        assert all(counts)
        counted = [info(client, name)["inference_count"] for name in FILES]
        assert sum(counted) == sum(counts)


def queued(client: httpx.Client) -> int:
    """Requests in progress beside the one that asks."""
    return int(client.get(f"{BASE}/engine/status").json()["active_requests"]) - 1
