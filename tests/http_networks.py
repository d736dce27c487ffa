"""What the HTTP tests of quantizing, compiling and optimizing share: a model folder, and calls."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from http_models import fresh_folder
from network_models import (
    digits,
    digits_network,
    magika,
    write_convolution,
    write_digits,
    write_regressor,
    write_two_inputs,
)

MODELS = "/api/inference/models"


def network_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """A model folder: networks, a forest, a graph without weights, a Python model."""
    folder = fresh_folder(factory, name, "wine.pkl", "pair.onnx", "sizes.py")
    write_digits(folder / "digits.onnx")
    write_convolution(folder / "conv.onnx")
    write_regressor(folder / "regressor.pkl")
    write_two_inputs(folder / "two.onnx")
    (folder / "network.pkl").write_bytes(pickle.dumps(digits_network()))
    shutil.copyfile(magika(), folder / "magika.onnx")
    return folder


def unload_all(client: httpx.Client) -> None:
    for model in client.get(f"{MODELS}/list").json()["models"]:
        assert client.delete(f"{MODELS}/{model['model_id']}").status_code == 200


def load(client: httpx.Client, file: str, **options: Any) -> str:
    """Loads a file of the folder under its stem; returns that."""
    body = {"model_path": file, "model_id": Path(file).stem, **options}
    response = client.post(f"{MODELS}/load", json=body)
    assert response.status_code == 200, response.text
    model_id: str = response.json()["model_id"]
    return model_id


def quantize(client: httpx.Client, model_id: str, query: str = "", **body: Any) -> httpx.Response:
    return client.post(f"{MODELS}/{model_id}/quantize{query}", json=body)


def optimize(client: httpx.Client, model_id: str, **body: Any) -> httpx.Response:
    return client.post(f"{MODELS}/{model_id}/optimize", json=body)


def answers(client: httpx.Client, model_id: str, data: Any) -> Any:
    """Predictions, each row in an execution of its own: companions may change the last bits."""
    body = {"model_id": model_id, "data": data, "batch_size": 1}
    response = client.post("/api/inference/predict", json=body)
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def images(count: int) -> list[Any]:
    """Rows for ``conv.onnx``."""
    pixels: np.ndarray = digits()[0][-count:]
    return pixels.reshape(-1, 1, 8, 8).tolist()
