"""GET engine/status, engine/config, metrics/resources: true figures, or null."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest

from http_models import fresh_folder, json_rows, rows_of
from http_server import Server, error_of, slipstream_server
from made_up_gpus import install_nvml
from slipstream.api.version import Totals
from slipstream.engine.runtime import CoreLatencies
from slipstream.gpu import nvml as management
from slipstream.http.machine import Machine, container_limit
from slipstream.http.window import SlidingWindow

STATUS = "/api/inference/engine/status"
CONFIG = "/api/inference/engine/config"
PERFORMANCE = "/api/inference/metrics/performance"
RESOURCES = "/api/inference/metrics/resources"
PREDICT = "/api/inference/predict"
MODELS = "/api/inference/models"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = fresh_folder(tmp_path_factory, "engine", "wine.pkl", "diabetes.pkl")
    loads = ("--load", f"{folder}/wine.pkl=wine", "--load", f"{folder}/diabetes.pkl=diabetes")
    env = {"MAX_BATCH_SIZE": "48", "MEMORY_LIMIT_MB": "1234", "ENABLE_QUANTIZATION": "False"}
    with slipstream_server("--model-dir", str(folder), *loads, env=env) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def got(client: httpx.Client, path: str) -> dict[str, Any]:
    response = client.get(path)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def ask(client: httpx.Client, model: str, times: int) -> None:
    for _ in range(times):
        body = {"model_id": model, "data": json_rows(rows_of(model))}
        assert client.post(PREDICT, json=body).status_code == 200


def test_status_counts_what_models_did_that_are_gone(client: httpx.Client) -> None:
    before = got(client, STATUS)
    assert list(before) == [
        "status", "uptime", "loaded_models", "active_requests", "total_predictions",
        "average_response_time", "memory_usage", "cpu_usage", "gpu_usage",
    ]  # fmt: skip
    assert (before["status"], before["loaded_models"], before["active_requests"]) == (
        "running", 2, 1,
    )  # fmt: skip
    assert (before["total_predictions"], before["average_response_time"]) == (0, None)
    memory = before["memory_usage"]
    assert list(memory) == ["total_mb", "used_mb", "free_mb"]
    assert memory["total_mb"] == pytest.approx(memory["used_mb"] + memory["free_mb"])
    ask(client, "wine", 3)
    ask(client, "diabetes", 2)
    assert client.post(f"{MODELS}/wine/reload").status_code == 200
    assert got(client, STATUS)["total_predictions"] == 5
    ask(client, "wine", 1)
    assert client.delete(f"{MODELS}/wine").status_code == 200
    after = got(client, STATUS)
    assert (after["total_predictions"], after["loaded_models"]) == (6, 1)
    assert 0 < after["average_response_time"] < 10
    bad = {"model_id": "diabetes", "data": [["a"]]}
    assert client.post(PREDICT, json=bad).status_code == 422
    assert got(client, STATUS)["total_predictions"] == 6


def test_config_is_what_was_set(client: httpx.Client) -> None:
    assert got(client, CONFIG) == {
        "max_batch_size": 48,
        "batch_timeout_ms": 100.0,
        "enable_quantization": False,
        "enable_compilation": True,
        "max_concurrent_requests": 100,
        "model_cache_size": 5,
        "memory_limit_mb": 1234,
    }


def test_performance_is_what_was_measured(client: httpx.Client) -> None:
    before = got(client, PERFORMANCE)
    assert {name: list(part) for name, part in before.items()} == {
        "request_metrics": [
            "total_requests", "successful_requests", "failed_requests", "average_response_time",
            "p95_response_time", "p99_response_time", "requests_per_second",
        ],
        "resource_metrics": ["cpu_usage", "memory_usage_mb", "gpu_usage", "gpu_memory_mb"],
        "model_metrics": ["active_models", "total_model_memory_mb", "cache_hit_rate"],
    }  # fmt: skip
    assert before["request_metrics"] == {
        "total_requests": 0, "successful_requests": 0, "failed_requests": 0,
        "average_response_time": None, "p95_response_time": None, "p99_response_time": None,
        "requests_per_second": 0.0,
    }  # fmt: skip
    ask(client, "wine", 20)
    late = {"model_id": "wine", "data": json_rows(rows_of("wine")), "timeout_ms": 1e-6}
    assert client.post(PREDICT, json=late).status_code == 504
    found = got(client, PERFORMANCE)["request_metrics"]
    counts = ("total_requests", "successful_requests", "failed_requests")
    assert [found[name] for name in counts] == [21, 20, 1]
    assert 0 < found["average_response_time"] < 10
    assert 0 < found["p95_response_time"] <= found["p99_response_time"] < 10
    assert found["requests_per_second"] > 0
    assert got(client, PERFORMANCE)["resource_metrics"]["memory_usage_mb"] > 10
    assert got(client, PERFORMANCE)["model_metrics"]["active_models"] == 2


class TestTheWindow:
    def test_it_slides(self) -> None:
        window = SlidingWindow(10.0)
        for second in range(31):
            window.look(float(second), totals(answered=second * 2))
        seconds, recent = window.since(30.5, totals(answered=61))
        assert 10.0 <= seconds < 12.0
        assert recent.answered / seconds == pytest.approx(2.0, abs=0.1)

    def test_before_the_first_look(self) -> None:
        assert SlidingWindow().since(5.0, totals(answered=7))[1].answered == 0

    def test_looks_that_are_close_are_one(self) -> None:
        window = SlidingWindow(10.0)
        for tenth in range(1000):
            window.look(tenth / 100, totals(answered=tenth))
        assert len(window._looks) <= 11


def totals(answered: int) -> Totals:
    return Totals(answered, 0, 0, CoreLatencies())


def test_resources_are_the_machines(client: httpx.Client) -> None:
    body = got(client, RESOURCES)
    assert {name: list(part) for name, part in body.items()} == {
        "cpu": ["usage_percent", "cores", "load_average"],
        "memory": ["total_mb", "used_mb", "free_mb", "usage_percent"],
        "gpu": ["count", "usage_percent", "memory_total_mb", "memory_used_mb", "temperature"],
        "disk": ["usage_percent", "free_gb"],
    }
    assert body["cpu"]["cores"] == len(psutil.Process().cpu_affinity() or [])
    assert len(body["cpu"]["load_average"]) == 3
    memory = body["memory"]
    assert memory["total_mb"] <= psutil.virtual_memory().total / 2**20 + 1
    assert memory["usage_percent"] == pytest.approx(
        100 * memory["used_mb"] / memory["total_mb"], abs=0.01
    )
    assert 0 < memory["usage_percent"] < 100
    assert 0 <= body["disk"]["usage_percent"] <= 100 and body["disk"]["free_gb"] > 0


def test_keys_are_asked_for(tmp_path: Path) -> None:
    env = {"REQUIRE_API_KEY": "True", "API_KEYS": "secret"}
    with (
        slipstream_server("--model-dir", str(tmp_path), env=env) as server,
        server.client() as client,
    ):
        for path in (STATUS, CONFIG, PERFORMANCE, RESOURCES):
            response = client.get(path)
            assert response.status_code == 401
            error_of(response)
            assert client.get(path, headers={"x-api-key": "secret"}).status_code == 200


class TestMachine:
    def test_the_load_is_that_since_the_last_look(self, tmp_path: Path) -> None:
        times, loads = iter([0.0, 0.05, 1.0, 1.05, 3.0]), iter([0.0, 40.0, 60.0])
        machine = Machine(tmp_path, lambda: next(times), lambda: next(loads))
        assert [machine.cpu_percent() for _ in range(4)] == [None, 40.0, 40.0, 60.0]

    def test_a_folder_that_is_not_there_yet(self, tmp_path: Path) -> None:
        full, free = Machine(tmp_path / "a" / "b").disk()
        assert 0 <= full <= 100 and free > 0

    @pytest.mark.parametrize(
        ("text", "limit"), [("max\n", None), ("1048576\n", 1 << 20), ("0", None), (None, None)]
    )
    def test_the_limit_of_a_container(
        self, tmp_path: Path, text: str | None, limit: int | None
    ) -> None:
        if text is not None:
            (tmp_path / "memory.max").write_text(text)
        assert container_limit(tmp_path) == limit

    def test_gpus_together(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No GPU here: what NVML says is made up, what we make of it is not."""

        class NVMLError(Exception):
            pass

        def heat(gpu: int, sensor: int) -> int:
            if gpu == 1 and is_shy:
                raise NVMLError
            return 50 + gpu

        def by_place(place: bytes) -> int:
            if place not in places:
                raise NVMLError
            return places[place]

        def by_index(index: int) -> int:
            if index == 2:  # has fallen off the bus, and is still counted
                raise NVMLError
            return index

        places = {b"0000:0A:00.0": 1, b"0000:0B:00.0": 0}
        is_shy = False
        nvml = ModuleType("pynvml")
        vars(nvml).update(
            NVMLError=NVMLError,
            NVML_TEMPERATURE_GPU=0,
            nvmlInit=lambda: None,
            nvmlDeviceGetCount=lambda: 3,
            nvmlDeviceGetHandleByIndex=lambda index: by_index(index),
            nvmlDeviceGetPciInfo=lambda gpu: SimpleNamespace(domain=0, bus=11 - gpu, device=0),
            nvmlDeviceGetHandleByPciBusId=lambda place: by_place(place),
            nvmlDeviceGetUtilizationRates=lambda gpu: SimpleNamespace(gpu=20 * (gpu + 1)),
            nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(
                total=100, used=10 + gpu, free=90 - gpu
            ),
            nvmlDeviceGetTemperature=heat,
        )
        install_nvml(monkeypatch, nvml)
        machine = Machine(tmp_path)
        assert machine.gpus() == (0, None, None, None, None) and not machine.can_tell_gpus
        assert machine.gpu_watch.look()
        assert machine.gpus() == (2, 30.0, 200, 21, 51.0)
        is_shy = True
        assert machine.gpu_watch.look()
        assert machine.gpus() == (2, 30.0, 200, 21, None)
        assert machine.can_tell_gpus
        assert machine.gpus(["0000:0B:00.0", "0000:FF:00.0"]) == (1, 20.0, 100, 10, 50.0)
        assert machine.gpus([]) == (0, None, None, None, None)
        assert management.free_bytes(nvml, "0000:0A:00.0") == 89
        assert management.free_bytes(nvml, "0000:FF:00.0") is None

        def no_count() -> int:
            raise NVMLError

        vars(nvml)["nvmlDeviceGetCount"] = no_count
        assert machine.gpu_watch.look()
        assert machine.gpus() == (0, None, None, None, None)
