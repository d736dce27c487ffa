"""The server that the sections share, and real models to ask it about."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import GradientBoostingRegressor, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from http_server import Server, slipstream_server
from inference_engine_api.contract import BASE
from real_models import SILERO, package_file

API_KEY = "your-api-key"
CUSTOM = """
import numpy as np

class CustomModel:
    def predict(self, X):
        return np.asarray(X).sum(axis=1)

    def predict_proba(self, X):
        share = 1 / (1 + np.exp(-np.asarray(X).sum(axis=1)))
        return np.column_stack((1 - share, share))

ENTRY = CustomModel
"""


class Known(NamedTuple):
    """A fitted estimator and the rows it was fitted on."""

    model: Any
    rows: Any

    def data(self, count: int = 3) -> list[list[float]]:
        """Rows spread over the data set, as JSON takes them."""
        chosen: list[list[float]] = self.rows[:: len(self.rows) // count][:count].tolist()
        return chosen


@pytest.fixture(scope="session")
def known() -> dict[str, Known]:
    """The estimators behind the files of ``folder``, by name."""
    cancer, wine, diabetes = load_breast_cancer(), load_wine(), load_diabetes()
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    voting = VotingClassifier(
        [
            ("linear", make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))),
            ("tree", DecisionTreeClassifier(max_depth=4, random_state=0)),
        ],
        voting="soft",
    )
    boosted = GradientBoostingRegressor(n_estimators=20, random_state=0)
    return {
        "breast_cancer": Known(linear.fit(cancer.data, cancer.target), cancer.data),
        "wine": Known(voting.fit(wine.data, wine.target), wine.data),
        "diabetes": Known(boosted.fit(diabetes.data, diabetes.target), diabetes.data),
    }


@pytest.fixture(scope="session")
def folder(known: dict[str, Known], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: three trained models, networks from packages, a custom class."""
    folder = tmp_path_factory.mktemp("inference-engine-api") / "models"
    folder.mkdir()
    for name, one in known.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(one.model))
    shutil.copyfile(
        package_file("magika", "models", "standard_v3_3", "model.onnx"), folder / "magika.onnx"
    )
    shutil.copyfile(
        package_file("basic_pitch", "saved_models", "icassp_2022", "nmp.onnx"),
        folder / "basic-pitch.onnx",
    )
    shutil.copyfile(package_file("silero_vad", "data", "silero_vad.onnx"), folder / "silero.onnx")
    (folder / "silero.onnx.toml").write_text(SILERO)
    (folder / "custom.py").write_text(CUSTOM)
    return folder


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    """A server with a key and those models, none of them loaded."""
    environment = {
        "REQUIRE_API_KEY": "True",
        "API_KEYS": f"another-key,{API_KEY}",
        "ALLOW_CUSTOM_CODE": "True",
        "MODEL_CACHE_SIZE": "50",
        "MAX_WORKERS": "16",
    }
    with slipstream_server("--model-dir", "models", env=environment, cwd=folder.parent) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Talks to the server with its key; nothing is loaded when the test begins."""
    with server.client(headers={"X-API-Key": API_KEY}) as client:
        for model in client.get(f"{BASE}/models/list").json()["models"]:
            assert client.delete(f"{BASE}/models/{model['model_id']}").status_code == 200
        yield client


@pytest.fixture
def load(client: httpx.Client) -> Any:
    """Loads a file of the folder, and returns its model's id."""

    def load(file: str, **options: Any) -> str:
        response = client.post(f"{BASE}/models/load", json={"model_path": file, **options})
        assert response.status_code == 200, response.text
        model_id: str = response.json()["model_id"]
        return model_id

    return load
