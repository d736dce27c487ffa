"""An execution in the server's own process that does not end: what it can hold up, and what not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import onnx
import pytest
from onnx import TensorProto
from onnx.helper import (
    make_graph,
    make_model,
    make_node,
    make_opsetid,
    make_tensor,
    make_tensor_value_info,
)

from http_server import Server, error_of, eventually, slipstream_server
from slipstream.engine.runtime import has_torch_backend

BASE = "/api/inference"
FOR_EVER = 1 << 60


def save_counter(file: Path) -> None:
    """A graph that counts to the number that it is given, one at a time."""
    body = make_graph(
        [make_node("Add", ["sum", "one"], ["next"]), make_node("Identity", ["go"], ["on"])],
        "body",
        [
            make_tensor_value_info("turn", TensorProto.INT64, []),
            make_tensor_value_info("go", TensorProto.BOOL, []),
            make_tensor_value_info("sum", TensorProto.INT64, [1]),
        ],
        [
            make_tensor_value_info("on", TensorProto.BOOL, []),
            make_tensor_value_info("next", TensorProto.INT64, [1]),
        ],
        [make_tensor("one", TensorProto.INT64, [1], [1])],
    )
    graph = make_graph(
        [
            make_node("Squeeze", ["turns"], ["count"]),
            make_node("Loop", ["count", "", "zero"], ["sum"], body=body),
        ],
        "counter",
        [make_tensor_value_info("turns", TensorProto.INT64, [1])],
        [make_tensor_value_info("sum", TensorProto.INT64, [1])],
        [make_tensor("zero", TensorProto.INT64, [1], [0])],
    )
    model = make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hanging")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    save_counter(folder / "counter.onnx")
    save_counter(folder / "other.onnx")
    env = {"MODEL_DIR": str(folder), "DRAIN_TIMEOUT_S": "0.5", "MAX_WORKERS": "2"}
    with slipstream_server("--load", "counter.onnx=counter", env=env) as server:
        yield server


def ask(client: httpx.Client, turns: int, **more: object) -> httpx.Response:
    body = {"model_id": "counter", "data": [turns], **more}
    return client.post(f"{BASE}/predict", json=body)


def test_it_counts(server: Server) -> None:
    with server.client() as client:
        answer = ask(client, 1000)
        assert answer.status_code == 200, answer.text


def test_a_model_that_hangs_can_be_unloaded_and_loaded_again(server: Server) -> None:
    with server.client(timeout=60) as client:
        for _ in range(2):
            late = ask(client, FOR_EVER, timeout_ms=200)
            assert late.status_code == 504
        began = time.monotonic()
        assert client.delete(f"{BASE}/models/counter").status_code == 200
        assert time.monotonic() - began < 20
        assert client.get(f"{BASE}/models/list").json()["models"] == []
        wanted = {"model_path": "counter.onnx", "model_id": "counter"}
        assert client.post(f"{BASE}/models/load", json=wanted).status_code == 200
        assert ask(client, 10).status_code == 200
        eventually(lambda: "does not end" in server.log)


def test_the_others_answer_and_can_be_unloaded_meanwhile(server: Server) -> None:
    with server.client(timeout=60) as client, ThreadPoolExecutor(2) as pool:
        late = pool.submit(ask, client, FOR_EVER, timeout_ms=200)
        assert late.result().status_code == 504
        gone = pool.submit(client.delete, f"{BASE}/models/counter")
        wanted = {"model_path": "other.onnx", "model_id": "other"}
        loaded = client.post(f"{BASE}/models/load", json=wanted)
        assert loaded.status_code == 200, error_of(loaded)
        assert client.delete(f"{BASE}/models/other").status_code == 200
        assert gone.result().status_code == 200


@pytest.mark.skipif(not has_torch_backend(), reason="no torch backend: slipstream build-backend")
def test_a_script_that_hangs_holds_up_nobody(server: Server, folder: Path) -> None:
    """It was quick when it was asked for little: what was learned says nothing about a loop."""
    import torch

    class Counter(torch.nn.Module):
        def forward(self, turns: torch.Tensor) -> torch.Tensor:
            total = torch.zeros_like(turns)
            for _ in range(int(turns.max())):
                total += 1
            return total

    torch.jit.script(Counter()).save(folder / "script.pt")
    (folder / "script.pt.toml").write_text('[inputs.turns]\nshape = ["rows", 1]\n')
    with server.client(timeout=60) as client:
        wanted = {"model_path": "script.pt", "model_id": "script"}
        loaded = client.post(f"{BASE}/models/load", json=wanted)
        assert loaded.status_code == 200, loaded.text
        for turns, status in ((1, 200), (1 << 40, 504)):
            body = {"model_id": "script", "data": [[turns]], "timeout_ms": 200}
            assert client.post(f"{BASE}/predict", json=body).status_code == status
        assert client.delete(f"{BASE}/models/script").status_code == 200


def test_the_server_ends(server: Server) -> None:
    """Last: the executions are still at it."""
    began = time.monotonic()
    server.process.terminate()
    assert server.process.wait(30) == 0
    assert time.monotonic() - began < 30
