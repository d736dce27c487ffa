"""Asking a server for experiments, and what its models answer."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from http_models import fresh_folder, json_rows, rows_of, trained
from http_server import slipstream_server

BASE = "/api/inference/experiments"
PREDICT = "/api/inference/predict"
MODELS = "/api/inference/models"
STREAM = "/api/inference/stream"
FILES = ("wine", "cancer", "diabetes")
OTHERS = {
    "stump": DecisionTreeClassifier(max_depth=1, random_state=0).fit(*load_wine(return_X_y=True)),
    "line": LinearRegression().fit(*load_diabetes(return_X_y=True)),
}
"""A second model of the same question as ``wine`` and ``diabetes``."""


def folder_of(factory: pytest.TempPathFactory, name: str) -> Path:
    folder = fresh_folder(factory, name, *(f"{file}.pkl" for file in FILES))
    for other, model in OTHERS.items():
        (folder / f"{other}.pkl").write_bytes(pickle.dumps(model))
    return folder


def serving(folder: Path, *names: str, **env: str) -> Any:
    loads = [word for name in names for word in ("--load", f"{folder}/{name}.pkl={name}")]
    return slipstream_server("--model-dir", str(folder), *loads, env=env)


def put(
    client: httpx.Client, name: str, variants: dict[str, Any], shadows: dict[str, Any] | None = None
) -> httpx.Response:
    body: dict[str, Any] = {
        "variants": [{"model_id": one, "weight": weight} for one, weight in variants.items()]
    }
    if shadows:
        body["shadows"] = [{"model_id": one, "share": share} for one, share in shadows.items()]
    return client.put(f"{BASE}/{name}", json=body)


def look(client: httpx.Client, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"{BASE}/{name}").raise_for_status().json()
    return answer


def right(name: str, of: str) -> list[Any]:
    """What a model answers to the rows of a data set."""
    model = OTHERS.get(name) or trained(name)
    answers: list[Any] = np.asarray(model.predict(rows_of(of))).tolist()
    return answers


def close(got: list[Any], expected: list[Any]) -> bool:
    return bool(np.allclose(got, expected, rtol=1e-9))


def ask(client: httpx.Client, of: str, **more: Any) -> dict[str, Any]:
    response = client.post(PREDICT, json={"data": json_rows(rows_of(of)), **more})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer
