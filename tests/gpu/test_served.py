"""Over HTTP: who answers tells that it was the GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core_endpoints.contract import answer
from gpu.networks import MLP, write_script
from http_server import slipstream_server

pytestmark = pytest.mark.gpu


def test_the_device_is_told(gpu: str, tmp_path: Path) -> None:
    file = write_script(MLP, tmp_path)
    words = ("--model-dir", str(tmp_path), "--load", f"{file}=mlp")
    env = {"DEVICE": gpu, "STATE_DIR": str(tmp_path / "state")}
    rows = MLP.rows(5)
    with slipstream_server(*words, env=env) as server, server.client() as client:
        asked = {"model_name": "mlp", "inputs": rows.tolist()}
        body = answer(client.post("/predict", json=asked))
        assert body["model_info"]["device"] == gpu
        got = np.asarray(body["result"], np.float32)
        assert np.abs(got - MLP.right(rows)).max() <= 1e-3
        info = answer(client.get("/info"))
        assert info["devices"]["device"] == gpu and info["devices"]["models_on_gpus"] == 1
        assert "gpu_acceleration" in str(info["server_config"])
        assert client.get("/health").status_code == 200


def test_one_model_on_the_gpu_and_one_not(gpu: str, tmp_path: Path) -> None:
    write_script(MLP, tmp_path)
    words = ("--model-dir", str(tmp_path))
    env = {"STATE_DIR": str(tmp_path / "state")}
    rows = MLP.rows(2)
    with slipstream_server(*words, env=env) as server, server.client() as client:
        for name, device in (("here", "cpu"), ("there", gpu)):
            asked = {"model_path": "mlp.pt", "model_id": name, "device": device}
            answer(client.post("/api/inference/models/load", json=asked))
        answers = {
            name: answer(
                client.post("/predict", json={"model_name": name, "inputs": rows.tolist()})
            )
            for name in ("here", "there")
        }
    assert answers["here"]["model_info"]["device"] == "cpu"
    assert answers["there"]["model_info"]["device"] == gpu
