"""Answers that are remembered: for whom, how long, and that they are the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from http_models import Gate, fresh_folder, json_rows, rows_of, trained
from http_server import slipstream_server
from slipstream.api.bodies import EncodedAnswer
from slipstream.api.prediction_cache import PredictionCache

BASE = "/api/inference"
PREDICT = f"{BASE}/predict"
ENV = {"ALLOW_CUSTOM_CODE": "True", "MODEL_CACHE_SIZE": "0", "MEMORY_LIMIT_MB": "0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "cache", "wine.pkl", "penguins.pkl", "cancer.pkl")


@pytest.fixture(scope="module")
def gate(folder: Path) -> Gate:
    """A model that writes down what it runs."""
    return Gate(folder, "noted")


@pytest.fixture(scope="module")
def serving(folder: Path, gate: Gate) -> Iterator[httpx.Client]:
    server = slipstream_server("--model-dir", str(folder), env=ENV)
    with server as running, running.client() as client:
        assert hit_rate(client) is None
        yield client


@pytest.fixture
def client(serving: httpx.Client, gate: Gate) -> httpx.Client:
    """With ``noted``, which remembers, and nothing remembered."""
    serving.delete(f"{BASE}/models/noted")
    load(serving, "noted.py", "noted", cache_predictions=True)
    serving.delete(f"{BASE}/engine/cache")
    gate.close()  # nothing is written down yet
    gate.open()
    return serving


def load(client: httpx.Client, path: str, model_id: str, **options: object) -> None:
    body = {"model_path": path, "model_id": model_id, **options}
    response = client.post(f"{BASE}/models/load", json=body)
    assert response.status_code == 200, response.text


def ask(client: httpx.Client, model_id: str, data: Any, **options: object) -> Any:
    response = client.post(PREDICT, json={"model_id": model_id, "data": data, **options})
    assert response.status_code == 200, response.text
    return response.json()


def hit_rate(client: httpx.Client) -> float | None:
    performance = client.get(f"{BASE}/metrics/performance").json()
    rate: float | None = performance["model_metrics"]["cache_hit_rate"]
    return rate


class TestRemembering:
    def test_the_same_rows_run_once(self, client: httpx.Client, gate: Gate) -> None:
        answers = [ask(client, "noted", [[7]]) for _ in range(4)]
        assert gate.ran == [7]
        assert {tuple(answer["predictions"]) for answer in answers} == {(7,)}
        assert len({answer["request_id"] for answer in answers}) == 4
        assert all(answer["inference_time"] > 0 for answer in answers)

    def test_the_hit_rate(self, client: httpx.Client) -> None:
        before = client.get(f"{BASE}/metrics/performance").json()
        assert set(before["model_metrics"]) == {
            "active_models", "total_model_memory_mb", "cache_hit_rate",
        }  # fmt: skip
        for _ in range(200):
            ask(client, "noted", [[8]])
        rate = hit_rate(client)
        assert rate is not None
        assert 0.8 < rate < 1

    def test_other_rows_are_others(self, client: httpx.Client, gate: Gate) -> None:
        for rows in ([[1]], [[2]], [[1], [2]], [[2], [1]], [[1]], [[1], [2]]):
            assert ask(client, "noted", rows)["predictions"] == [row[0] for row in rows]
        assert gate.ran == [1, 2, 1, 2]  # the first of each request

    def test_forms_of_one_question(self, client: httpx.Client, gate: Gate) -> None:
        """The same numbers, however they are written; each form of answer is made once."""
        ask(client, "noted", [[3]])
        ask(client, "noted", [[3.0]], priority="high", timeout_ms=5000)
        assert gate.ran == [3]
        packed = msgspec.msgpack.encode({"model_id": "noted", "data": [[3]]})
        headers = {"content-type": "application/msgpack"}
        for _ in range(2):
            answer = client.post(PREDICT, content=packed, headers=headers)
            assert msgspec.msgpack.decode(answer.content)["predictions"] == [3]
        assert gate.ran == [3, 3]

    def test_the_other_ways_of_asking(self, client: httpx.Client, gate: Gate) -> None:
        ask(client, "noted", [[5]])
        body = {"model_id": "noted", "data": [[5]]}
        batch = client.post(f"{BASE}/predict/batch", json=body).json()
        assert (batch["predictions"], batch["batch_size"]) == ([5], 1)
        entries = {"requests": [{"request_id": "a", **body}, {"request_id": "b", **body}]}
        results = client.post(f"{BASE}/predict/multi-batch", json=entries).json()["results"]
        assert [one["predictions"] for one in results] == [[5], [5]]
        assert gate.ran == [5]

    def test_wrong_rows_are_refused_as_ever(self, client: httpx.Client) -> None:
        response = client.post(PREDICT, json={"model_id": "noted", "data": [["x"]]})
        assert response.status_code in (400, 422)

    @pytest.mark.parametrize("name", ["wine", "penguins"])
    def test_probabilities_and_text(self, client: httpx.Client, name: str) -> None:
        load(client, f"{name}.pkl", name, cache_predictions=True)
        rows = json_rows(rows_of(name))
        model = trained(name)
        for _ in range(2):
            plain = ask(client, name, rows)
            both = ask(client, name, rows, return_probabilities=True)
            assert plain["predictions"] == model.predict(rows_of(name)).tolist()
            assert "probabilities" not in plain
            assert both["predictions"] == plain["predictions"]
            assert both["probabilities"] == pytest.approx(
                model.predict_proba(rows_of(name)), abs=1e-9
            )
            one = ask(client, name, rows[:1])["predictions"]
            assert one == plain["predictions"][:1]
        client.delete(f"{BASE}/models/{name}")


class TestForgetting:
    def test_on_request(self, client: httpx.Client, gate: Gate) -> None:
        for value in (1, 2, 3):
            ask(client, "noted", [[value]])
        response = client.delete(f"{BASE}/engine/cache")
        assert response.status_code == 200
        body = response.json()
        assert list(body) == ["message", "entries_cleared", "memory_freed_mb"]
        assert body["entries_cleared"] == 3
        assert body["memory_freed_mb"] > 0
        ask(client, "noted", [[1]])
        assert gate.ran == [1, 2, 3, 1]
        assert client.delete(f"{BASE}/engine/cache").json()["entries_cleared"] == 1
        empty = client.delete(f"{BASE}/engine/cache").json()
        assert (empty["entries_cleared"], empty["memory_freed_mb"]) == (0, 0)

    def test_by_a_reload(self, client: httpx.Client, gate: Gate) -> None:
        ask(client, "noted", [[1]])
        assert client.post(f"{BASE}/models/noted/reload").status_code == 200
        assert client.delete(f"{BASE}/engine/cache").json()["entries_cleared"] == 0
        ask(client, "noted", [[1]])
        assert gate.ran == [1, 1]

    def test_not_by_eviction(self, client: httpx.Client, gate: Gate) -> None:
        """What is known needs no model."""
        ask(client, "noted", [[1]])
        load(client, "wine.pkl", "wine")
        client.put(f"{BASE}/engine/config", json={"memory_limit_mb": 1})
        client.put(f"{BASE}/engine/config", json={"memory_limit_mb": 0})
        state = f"{BASE}/models/noted/info"
        assert client.get(state).json()["state"] == "evicted"
        assert ask(client, "noted", [[1]])["predictions"] == [1]
        assert client.get(state).json()["state"] == "evicted"
        assert ask(client, "noted", [[2]])["predictions"] == [2]
        assert client.get(state).json()["state"] == "loaded"
        client.delete(f"{BASE}/models/wine")

    def test_bounded_by_bytes(self) -> None:
        cache = PredictionCache(4096)
        answers = [EncodedAnswer(b"x" * 500, None, 1, 0.0) for _ in range(10)]
        for number, answer in enumerate(answers):
            cache.put((1, b"%d" % number), answer)
            assert cache.get((1, b"0")) is not None  # so it is the others that go
        counts = cache.counts()
        assert counts.size_bytes <= 4096
        assert counts.entries == 4
        assert cache.get((1, b"1")) is None
        cache.put((2, b"large"), EncodedAnswer(b"x" * 5000, None, 1, 0.0))
        assert cache.get((2, b"large")) is None
        cache.forget(1)
        assert cache.counts()[2:] == (0, 0)


class TestWhoRemembers:
    def test_nobody_unasked(self, client: httpx.Client, folder: Path) -> None:
        other = Gate(folder, "other")
        load(client, "other.py", "other")
        other.close()
        other.open()
        ask(client, "other", [[1]])
        ask(client, "other", [[1]])
        assert other.ran == [1, 1]

    def test_by_the_sidecar(self, client: httpx.Client, folder: Path) -> None:
        side = Gate(folder, "side")
        (folder / "side.py.toml").write_text("[cache]\npredictions = true\n")
        load(client, "side.py", "side")
        side.close()
        side.open()
        ask(client, "side", [[1]])
        ask(client, "side", [[1]])
        assert side.ran == [1]
        (folder / "side.py.toml").unlink()
        client.post(f"{BASE}/models/side/reload")
        ask(client, "side", [[1]])
        ask(client, "side", [[1]])
        assert side.ran == [1, 1, 1]

    def test_after_a_restart_as_well(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = fresh_folder(tmp_path_factory, "cache-again", "wine.pkl")
        for _ in range(2):
            server = slipstream_server("--model-dir", str(folder), env=ENV)
            with server as running, running.client() as client:
                if not client.get(f"{BASE}/models/list").json()["models"]:
                    load(client, "wine.pkl", "wine", cache_predictions=True)
                ask(client, "wine", json_rows(rows_of("wine")))
                ask(client, "wine", json_rows(rows_of("wine")))
                assert hit_rate(client) == 0.5
