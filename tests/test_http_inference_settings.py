"""Every documented environment variable does what it says, on a real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from http_models import fresh_folder, json_rows, rows_of, trained
from http_server import Server, error_of, eventually, slipstream_server
from slipstream.engine.runtime import available_cpus

BASE = "/api/inference"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(
        tmp_path_factory, "http-settings", "wine.pkl", "pair.onnx", "sizes.py", "cancer.pkl"
    )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.2", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(folder: Path, port: int) -> Iterator[Server]:
    env = {
        "INFERENCE_API_HOST": "127.0.0.2",
        "INFERENCE_API_PORT": str(port),
        "INFERENCE_API_DEBUG": "True",
        "MODEL_DIR": str(folder),
        "MAX_WORKERS": "1",
        "MAX_BATCH_SIZE": "7",
        "BATCH_TIMEOUT_MS": "60000",
        "ENABLE_COMPILATION": "False",
        "ENABLE_QUANTIZATION": "False",
        "ALLOW_CUSTOM_CODE": "True",
    }
    arguments = ("--load", "sizes.py=sizes", "--load", "pair.onnx=pair")
    with slipstream_server(*arguments, env=env, port=None) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def instances(server: Server, model_id: str) -> int:
    """Instance threads of a model; they carry its name."""
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    names = [(task / "comm").read_text().strip() for task in tasks]
    return sum(name.startswith("slip-") and name.endswith(f"-{model_id}") for name in names)


def test_host_and_port(server: Server, port: int) -> None:
    assert server.address == f"http://127.0.0.2:{port}"


def test_max_workers(server: Server, folder: Path) -> None:
    """One thread at least for each model, and no more than the cap over all."""
    assert instances(server, "sizes") == instances(server, "pair") == 1
    arguments = ("--model-dir", str(folder), "--load", "pair.onnx=pair")
    with slipstream_server(*arguments, env={"MAX_WORKERS": "64"}) as other:
        assert instances(other, "pair") == min(64, available_cpus())


def test_max_batch_size(client: httpx.Client) -> None:
    request = {"data": [[1.0]] * 20, "model_id": "sizes"}
    sizes = client.post(f"{BASE}/predict", json=request).json()["predictions"]
    assert sizes == [7] * 14 + [6] * 6


def test_batch_timeout_caps_the_waiting_and_asks_for_none(client: httpx.Client) -> None:
    """A lone request on an idle model does not sit out the minute that it might be made to wait."""
    request = {"data": [[1.0]], "model_id": "sizes", "timeout_ms": 20_000}
    for _ in range(5):
        assert client.post(f"{BASE}/predict", json=request).status_code == 200


def test_without_compilation_a_load_says_why(client: httpx.Client) -> None:
    rows = rows_of("wine")
    loaded = client.post(f"{BASE}/models/load", json={"model_path": "wine.pkl", "model_id": "w"})
    assert loaded.status_code == 200
    body = loaded.json()
    assert body["compiled"] is False
    assert "ENABLE_COMPILATION" in body["reason"]
    response = client.post(f"{BASE}/predict", json={"data": json_rows(rows), "model_id": "w"})
    assert response.json()["predictions"] == trained("wine").predict(rows).tolist()
    assert client.get(f"{BASE}/models/w/info").json()["reason"] == body["reason"]
    graph = client.get(f"{BASE}/models/pair/info").json()
    assert graph["compiled"] is True  # there is nothing to compile in a graph
    assert client.delete(f"{BASE}/models/w").status_code == 200  # or the next server here has it


def test_debug_logs_requests_and_hides_tracebacks(server: Server, client: httpx.Client) -> None:
    response = client.post(f"{BASE}/predict", content=b"{")
    error_of(response)  # which looks for tracebacks
    eventually(lambda: f"POST {BASE}/predict 400" in server.log)
    assert response.headers["x-request-id"] in server.log


def test_the_file_in_the_working_directory(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "slipstream.toml").write_text(
        f'model_dir = "{folder}"\nmax_batch_size = 3\nallow_custom_code = true\n'
    )
    request = {"data": [[1.0]] * 6}
    for env, sizes in (({}, [3] * 6), ({"MAX_BATCH_SIZE": "2"}, [2] * 6)):
        with (
            slipstream_server("--load", "sizes.py", env=env, cwd=tmp_path) as server,
            server.client() as client,
        ):
            answer = client.post(f"{BASE}/predict", json=request).json()
            assert answer["predictions"] == sizes


def test_a_wrong_value_ends_the_start(folder: Path) -> None:
    env = {"MAX_WORKERS": "none"}
    with (
        pytest.raises(AssertionError, match="MAX_WORKERS='none'"),
        slipstream_server("--model-dir", str(folder), env=env),
    ):
        raise RuntimeError("it started")
