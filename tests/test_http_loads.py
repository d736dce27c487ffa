"""Loads over HTTP: turns by priority, progress, cancellation; cold starts in figures."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gated_loads import GatedFiles
from http_models import fresh_folder, json_rows, rows_of
from http_server import Server, error_of, eventually, slipstream_server

BASE = "/api/inference"
MOST_LOADS = 36


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> GatedFiles:
    return GatedFiles(
        fresh_folder(tmp_path_factory, "loads", "wine.pkl", "cancer.pkl", "diabetes.pkl")
    )


@pytest.fixture(scope="module")
def server(gated: GatedFiles) -> Iterator[Server]:
    env = {
        "MODEL_DIR": str(gated.folder),
        "ALLOW_CUSTOM_CODE": "True",
        "MAX_CONCURRENT_LOADS": "1",
        "MODEL_CACHE_SIZE": "1",
    }
    with slipstream_server("--load", "wine.pkl=wine", env=env) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MOST_LOADS + 2) as pool:
        yield pool


def load(server: Server, name: str, **more: Any) -> httpx.Response:
    with server.client() as client:
        return client.post(
            f"{BASE}/models/load", json={"model_path": f"{name}.py", "model_id": name, **more}
        )


def loading(client: httpx.Client) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get("/models").json()["loading"]
    return rows


def loader(client: httpx.Client) -> tuple[int, int]:
    told = client.get("/health").json()["autoscaler"]["components"]["model_loader"]
    return told["active_loaders"], told["waiting"]


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    raise AssertionError(f"no {name} {labels}")


def begun(
    pool: ThreadPoolExecutor, server: Server, client: httpx.Client, name: str, **more: Any
) -> Future[httpx.Response]:
    future = pool.submit(load, server, name, **more)
    eventually(lambda: name in [row["model_id"] for row in loading(client)])
    return future


def test_turns_and_progress(
    server: Server, client: httpx.Client, gated: GatedFiles, pool: ThreadPoolExecutor
) -> None:
    for name in ("first", "low", "normal", "high"):
        gated.make(name)
    futures = [begun(pool, server, client, "first")]
    gated.wait_until_begun("first")
    futures += [
        begun(pool, server, client, name, **({} if name == "normal" else {"priority": name}))
        for name in ("low", "normal", "high")
    ]
    rows = loading(client)
    assert [(row["model_id"], row["state"], row["priority"]) for row in rows] == [
        ("first", "loading", "normal"),
        ("high", "waiting", "high"),
        ("normal", "waiting", "normal"),
        ("low", "waiting", "low"),
    ]
    assert rows[0]["progress"] == "opening the model"
    assert rows[0]["model_path"] == "first.py" and rows[0]["elapsed_s"] >= rows[1]["elapsed_s"] >= 0
    assert loader(client) == (1, 3)
    assert metric(client, "slipstream_loads", state="loading") == 1
    assert metric(client, "slipstream_loads", state="waiting") == 3
    for name in ("first", "low", "normal", "high"):
        gated.open(name)
    assert [future.result().status_code for future in futures] == [200] * 4
    assert gated.begun() == ["first", "high", "normal", "low"]
    assert loading(client) == [] and loader(client) == (0, 0)
    for name in gated.begun():
        assert client.delete(f"{BASE}/models/{name}").json()["message"].endswith("successfully")


def test_cancelled_and_asked_again(
    server: Server, client: httpx.Client, gated: GatedFiles, pool: ThreadPoolExecutor
) -> None:
    gated.make("unwanted")
    future = begun(pool, server, client, "unwanted")
    gated.wait_until_begun("unwanted")
    answer = client.delete(f"{BASE}/models/unwanted")
    assert answer.status_code == 200
    assert answer.json()["message"] == "Model load cancelled"
    assert answer.json()["model_id"] == "unwanted"
    refused = future.result()
    assert refused.status_code == 409
    error = error_of(refused)
    assert error["error"] == "LoadCancelledError"
    assert error["details"] == {"model_id": "unwanted"}
    assert not gated.is_running("unwanted") and loading(client) == []
    assert client.delete(f"{BASE}/models/unwanted").status_code == 404
    gated.open("unwanted")
    assert load(server, "unwanted").status_code == 200
    assert client.delete(f"{BASE}/models/unwanted").status_code == 200


def test_loads_that_wait_hold_up_nothing_else(
    server: Server, client: httpx.Client, gated: GatedFiles, pool: ThreadPoolExecutor
) -> None:
    """Not unloads, not predictions; and they are bounded."""
    assert client.post(f"{BASE}/models/load", json={"model_path": "cancer.pkl"}).status_code == 200
    names = [f"one_{number}" for number in range(MOST_LOADS)]
    for name in names:
        gated.make(name)
    futures = [begun(pool, server, client, name) for name in names]
    assert loader(client) == (1, MOST_LOADS - 1)
    full = load(server, "one_0", model_id="more")
    assert full.status_code == 503 and "retry-after" in full.headers
    assert f"{MOST_LOADS} loads and reloads" in error_of(full)["message"]
    (cancer,) = [
        row["model_id"]
        for row in client.get(f"{BASE}/models/list").json()["models"]
        if row["model_type"] == "sklearn" and row["model_id"] != "wine"
    ]
    assert client.delete(f"{BASE}/models/{cancer}").status_code == 200
    ask = {"model_id": "wine", "data": json_rows(rows_of("wine", 1))}
    assert client.post(f"{BASE}/predict", json=ask).status_code == 200
    for name in reversed(names):  # so that none gets its turn just before it is cancelled
        assert client.delete(f"{BASE}/models/{name}").status_code == 200
    assert {future.result().status_code for future in futures} == {409}
    assert loader(client) == (0, 0)


@pytest.mark.parametrize("priority", ["urgent", 5, None])
def test_what_is_no_priority(client: httpx.Client, priority: object) -> None:
    refused = client.post(
        f"{BASE}/models/load", json={"model_path": "wine.pkl", "priority": priority}
    )
    assert refused.status_code == 422
    assert "priority" in error_of(refused)["message"]


def test_cold_starts_are_measured(client: httpx.Client) -> None:
    """Only one model fits into memory, beside the one that was named at the start."""

    def cold() -> dict[str, Any]:
        told: dict[str, Any] = client.get("/health").json()["autoscaler"]["components"]
        return {key: told["zero_scaler"][key] for key in told["zero_scaler"] if "cold" in key}

    before = cold()["cold_starts"]
    for name in ("cancer", "diabetes"):
        wanted = {"model_path": f"{name}.pkl", "model_id": name}
        assert client.post(f"{BASE}/models/load", json=wanted).status_code == 200
    assert metric(client, "slipstream_cold_starts_total", model="cancer") == 0
    ask = {"model_id": "cancer", "data": json_rows(rows_of("cancer", 1))}
    assert client.post(f"{BASE}/predict", json=ask).status_code == 200
    eventually(lambda: cold()["cold_starts"] == before + 1)
    assert metric(client, "slipstream_cold_starts_total", model="cancer") == 1
    told = cold()
    assert 0 < told["last_cold_start_s"] < 30 and 0 < told["average_cold_start_s"] < 30
    seconds = metric(client, "slipstream_cold_start_seconds_total", model="cancer")
    assert seconds == pytest.approx(told["last_cold_start_s"], abs=1e-6)
    assert client.post(f"{BASE}/predict", json=ask).status_code == 200
    assert cold() == told
