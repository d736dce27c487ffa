"""Devices over HTTP: what is asked for, what is refused, what the answers tell of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli_runs import slipstream as command
from http_server import Server, error_of, slipstream_server
from made_up_gpus import fake_driver, gpu_onnxruntime, write_double

BASE = "/api/inference/models"
EXPECTED = "auto, cpu, cuda, cuda:N, or several GPUs separated by commas, as in cuda:0,cuda:1"


def write_filler(file: Path) -> None:
    """An ONNX graph: i64[n, 1], of which the first is a size, to that many zeros, summed up."""
    import onnx
    from onnx import TensorProto, helper

    size = helper.make_tensor_value_info("size", TensorProto.INT64, [1])
    total = helper.make_tensor_value_info("total", TensorProto.FLOAT, [])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["total"], keepdims=0),
    ]
    graph = helper.make_graph(nodes, "filler", [size], [total])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    for name in ("double", "listed", "on-a-gpu"):
        write_double(folder / f"{name}.onnx")
    write_filler(folder / "filler.onnx")
    entries = [
        {"model_id": "listed", "model_path": "listed.onnx", "device": "cpu"},
        {"model_id": "on-a-gpu", "model_path": "on-a-gpu.onnx", "device": "cuda:0"},
    ]
    (folder / "models.json").write_text(json.dumps({"models": entries}))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Of a machine with one GPU, and a package that looks as if it could use it."""
    env = {
        "MODEL_DIR": str(folder),
        "ANSWER_CACHE_S": "0",
        "LD_LIBRARY_PATH": fake_driver(),
        "PYTHONPATH": gpu_onnxruntime(tmp_path_factory.mktemp("packages")),
    }
    with slipstream_server(env=env, cwd=folder) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client
        client.delete(f"{BASE}/double")
        client.delete(f"{BASE}/filler")


def load(client: httpx.Client, name: str = "double", **more: Any) -> httpx.Response:
    body = {"model_path": f"{name}.onnx", "model_id": name, **more}
    return client.post(f"{BASE}/load", json=body)


class TestLoading:
    def test_auto_tells_why_it_is_on_the_cpu(self, client: httpx.Client, server: Server) -> None:
        body = load(client).json()
        reason = body["device_reason"]
        assert body["device"] == "cpu"
        assert reason.startswith("cuda:0 was chosen, and did not take it: onnx backend: provider")
        info = client.get(f"{BASE}/double/info").json()
        assert (info["device"], info["device_reason"]) == ("cpu", reason)
        assert f"double.onnx computes on the cpu: {reason}" in server.log
        devices = client.get("/info").json()["devices"]
        assert devices["device"] == "auto"
        assert (devices["models_on_gpus"], devices["models_fallen_back"] >= 1) == (0, True)

    def test_the_cpu(self, client: httpx.Client) -> None:
        body = load(client, device="CPU").json()
        assert (body["device"], "device_reason" in body) == ("cpu", False)
        reloaded = client.post(f"{BASE}/double/reload").json()
        assert (reloaded["device"], "device_reason" in reloaded) == ("cpu", False)

    @pytest.mark.parametrize("device", ["gpu", "cuda:", "", "cuda:0,cuda:0", "cpu,cuda:0"])
    def test_what_is_no_device(self, client: httpx.Client, device: str) -> None:
        response = load(client, device=device)
        error = error_of(response)
        assert (response.status_code, error["error"]) == (422, "InvalidInputError")
        twice = " names a GPU twice" if device == "cuda:0,cuda:0" else ""
        assert error["message"] == f"'device' is not valid: {device!r}{twice}; it takes {EXPECTED}"

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("device", 0),
            ("device", ["cuda:0"]),
            ("gpu_memory_limit_mb", 0),
            ("gpu_memory_limit_mb", 1.5),
            ("gpu_memory_limit_mb", "64"),
            ("gpu_provider", "dml"),
            ("gpu_batches_in_flight", 0),
            ("gpu_graph_rows", 4097),
            ("gpu_graph_rows", True),
        ],
    )
    def test_values_of_another_kind(self, client: httpx.Client, key: str, value: Any) -> None:
        response = load(client, **{key: value})
        assert response.status_code == 422
        assert f"'{key}' is not valid: " in error_of(response)["message"]

    def test_asked_for_means_there_or_not_at_all(self, client: httpx.Client) -> None:
        response = load(client, device="cuda:0")
        error = error_of(response)
        assert (response.status_code, error["error"]) == (422, "ModelLoadError")
        assert "install onnxruntime-gpu instead of onnxruntime" in error["message"]
        assert client.get(f"{BASE}/double/info").status_code == 404

    def test_a_gpu_that_is_not_there(self, client: httpx.Client) -> None:
        response = load(client, device="cuda:0,cuda:3")
        assert response.status_code == 422
        assert "there is no cuda:3 here, there is cuda:0" in error_of(response)["message"]

    def test_models_of_the_list(self, client: httpx.Client, server: Server) -> None:
        info = client.get(f"{BASE}/listed/info").json()
        assert (info["device"], "device_reason" in info) == ("cpu", False)
        assert client.get(f"{BASE}/on-a-gpu/info").status_code == 404
        assert "on-a-gpu.onnx is not served" in server.log
        assert "install onnxruntime-gpu instead of onnxruntime" in server.log


def test_what_other_answers_tell(client: httpx.Client) -> None:
    load(client)
    settings = client.get("/config").json()
    assert settings["settings"]["device"] == "auto"
    device = settings["configuration"]["device"]
    assert (device["device_type"], device["device_id"]) == ("cpu", None)
    assert client.get("/health").json()["checks"]["device"] is True
    body = {"model_name": "double", "inputs": [[1.0, 2.0]]}
    answer = client.post("/predict", json=body).json()
    assert answer["model_info"]["device"] == "cpu"


def test_out_of_memory_fails_one_request(client: httpx.Client) -> None:
    """What a backend has no memory for is 503, whatever memory it is; the next one is answered."""
    assert load(client, "filler", device="cpu").status_code == 200

    def ask(size: int) -> httpx.Response:
        body = {"model_id": "filler", "data": {"size": [size]}}
        return client.post("/api/inference/predict", json=body)

    assert ask(8).status_code == 200
    for _ in range(2):
        refused = ask(1 << 50)
        error = error_of(refused)
        assert (refused.status_code, error["error"]) == (503, "QueueFullError"), error
        assert "Failed to allocate memory" in error["message"]
        assert int(refused.headers["retry-after"]) >= 1
        assert ask(8).status_code == 200


def test_a_server_that_is_told_to_stay_off_gpus(folder: Path, tmp_path: Path) -> None:
    env = {"MODEL_DIR": str(folder), "STATE_DIR": str(tmp_path / "state")}
    with (
        slipstream_server("--device", "CPU", env=env, cwd=tmp_path) as server,
        server.client() as client,
    ):
        assert client.get("/config").json()["settings"]["device"] == "cpu"
        assert load(client).json()["device"] == "cpu"


def test_a_device_lasts_through_a_restart(folder: Path, tmp_path: Path) -> None:
    env = {"MODEL_DIR": str(folder), "STATE_DIR": str(tmp_path / "state"), "DEVICE": "auto"}
    with slipstream_server(env=env, cwd=tmp_path) as server, server.client() as client:
        assert load(client, device="cpu", gpu_memory_limit_mb=64).status_code == 200
    kept = json.loads((tmp_path / "state" / "registry.json").read_text())["models"]
    assert [one["tuning"]["device"] for one in kept] == ["cpu"]
    assert [one["tuning"]["gpu_memory_limit_mb"] for one in kept] == [64]
    with slipstream_server(env=env, cwd=tmp_path) as server, server.client() as client:
        assert client.get(f"{BASE}/double/info").json()["device"] == "cpu"


class TestCommands:
    def test_predict(self, folder: Path, tmp_path: Path) -> None:
        file, rows = folder / "double.onnx", tmp_path / "rows.csv"
        rows.write_text("1,2\n")
        ended = command("predict", file, rows, "--device", "cpu", state=tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")
        refused = command("predict", file, rows, "--device", "cuda:x", state=tmp_path)
        assert refused.returncode == 2  # as of serve
        assert f"option --device='cuda:x': expected {EXPECTED}" in refused.stderr
        refused = command("predict", file, rows, state=tmp_path, DEVICE="cuda:x")
        assert refused.returncode == 2
        assert f"environment variable DEVICE='cuda:x': expected {EXPECTED}" in refused.stderr

    def test_predict_tells_where_it_computes_instead(self, folder: Path, tmp_path: Path) -> None:
        rows = tmp_path / "rows.csv"
        rows.write_text("1,2\n")
        ended = command(
            *("predict", folder / "double.onnx", rows),
            state=tmp_path,
            LD_LIBRARY_PATH=fake_driver(),
            PYTHONPATH=gpu_onnxruntime(tmp_path / "packages"),
        )
        assert ended.returncode == 0
        assert "slipstream: it computes on the cpu: cuda:0 was chosen, and did no" in ended.stderr

    def test_serve_refuses_what_is_no_device(self, tmp_path: Path) -> None:
        ended = command("serve", "--device", "gpu", state=tmp_path, MODEL_DIR=str(tmp_path))
        assert ended.returncode == 2
        assert f"option --device='gpu': expected {EXPECTED}" in ended.stderr
