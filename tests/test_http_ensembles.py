"""Ensembles over HTTP: load, info, predictions, conflicts, failures that name the member."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ensemble_files import data, voting, write_file, write_members
from http_server import Server, error_of, slipstream_server

BASE = "/api/inference/models"

FRAIL = """
import numpy as np

class Frail:
    batchable = True
    n_features_in_ = 13
    classes_ = np.array([0, 1, 2])

    def predict(self, rows):
        if rows[0, 0] == 0:
            raise ValueError("no alcohol, no wine")
        return np.zeros(len(rows), dtype=int)

    def predict_proba(self, rows):
        self.predict(rows)
        return np.tile([1.0, 0.0, 0.0], (len(rows), 1))

ENTRY = Frail
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensembles")
    files = write_members(folder, "wine", voting("wine"))
    write_file(folder, "all.json", [{"model_id": "forest"}, *files[1:]], voting="soft")
    (folder / "frail.py").write_text(FRAIL)
    write_file(folder, "frail.json", ["forest.pkl", "frail.py"], ensemble_method="voting")
    write_file(folder, "outside.json", ["../../etc/passwd"])
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    environment = {"ALLOW_CUSTOM_CODE": "True"}
    with slipstream_server("--model-dir", str(folder), env=environment) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(timeout=120) as client:
        loaded = client.get(f"{BASE}/list").json()["models"]
        for model in reversed(loaded):  # ensembles before what they share
            assert client.delete(f"{BASE}/{model['model_id']}").status_code == 200
        yield client


def load(client: httpx.Client, model_path: str, **options: Any) -> httpx.Response:
    return client.post(f"{BASE}/load", json={"model_path": model_path, **options})


def ask(client: httpx.Client, rows: Any, **options: Any) -> httpx.Response:
    body = {"data": rows.tolist(), **options}
    return client.post("/api/inference/predict", json=body)


def test_an_ensemble_answers_as_scikit_learn_does(client: httpx.Client) -> None:
    assert load(client, "forest.pkl", model_id="forest").status_code == 200
    answer = load(client, "all.json", model_type="ensemble", model_id="all")
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_type"] == "ensemble" and answer.json()["compiled"] is True
    rows, original = data("wine").rows[::7], voting("wine")
    body = ask(client, rows, model_id="all", return_probabilities=True).json()
    assert body["predictions"] == original.predict(rows).tolist()
    expected = original.predict_proba(rows)
    np.testing.assert_allclose(body["probabilities"], expected, atol=1e-6)
    info = client.get(f"{BASE}/all/info").json()
    assert (info["backend"], info["ensemble_method"]) == ("ensemble", "voting")
    assert info["inference_count"] == 1 and info["average_inference_time"] > 0
    assert info["members"][0] == {
        "name": "forest",
        "model_type": "sklearn",
        "backend": "forest",
        "compiled": True,
        "weight": 1.0,
        "model_id": "forest",
    }
    assert [member["name"] for member in info["members"]] == ["forest", "boost", "light", "line"]
    assert info["members"][3]["model_path"] == "line.onnx"
    assert "members" not in client.get(f"{BASE}/forest/info").json()


def test_a_member_in_use_is_a_conflict_that_names_the_ensemble(client: httpx.Client) -> None:
    assert load(client, "forest.pkl", model_id="forest").status_code == 200
    assert load(client, "all.json", model_id="all").status_code == 200
    refused = client.delete(f"{BASE}/forest")
    assert refused.status_code == 409
    error = error_of(refused)
    assert error["error"] == "ModelInUseError" and error["details"]["used_by"] == ["all"]
    assert client.post(f"{BASE}/forest/reload").status_code == 200
    assert client.post(f"{BASE}/all/reload").json()["model_type"] == "ensemble"
    assert ask(client, data("wine").rows[:2], model_id="all").status_code == 200
    assert client.delete(f"{BASE}/all").status_code == 200
    assert client.delete(f"{BASE}/forest").status_code == 200


def test_a_failing_member_is_named(client: httpx.Client) -> None:
    answer = load(client, "frail.json", model_id="frail")
    assert answer.status_code == 200, answer.text
    assert answer.json()["compiled"] is False and "frail" in answer.json()["reason"]
    rows = data("wine").rows[:2].copy()
    assert ask(client, rows, model_id="frail").status_code == 200
    rows[0, 0] = 0
    refused = ask(client, rows, model_id="frail")
    assert refused.status_code == 422
    message = error_of(refused)["message"]
    assert "member 'frail/frail'" in message and "no alcohol, no wine" in message
    metrics = client.get(f"{BASE}/frail/metrics").json()
    assert (metrics["inference_count"], metrics["error_count"]) == (1, 1)


def test_rows_that_do_not_fit_are_refused_before_any_member_runs(client: httpx.Client) -> None:
    assert load(client, "frail.json", model_id="frail").status_code == 200
    refused = ask(client, data("wine").rows[:1, :5], model_id="frail")
    assert refused.status_code == 422 and "13" in error_of(refused)["message"]
    late = ask(client, data("wine").rows[:1], model_id="frail", timeout_ms=1e-6)
    assert late.status_code == 504


def test_what_cannot_be_composed_is_422_and_loads_nothing(client: httpx.Client) -> None:
    refused = load(client, "all.json")
    assert refused.status_code == 422
    assert "member 'forest': no model 'forest' is loaded" in error_of(refused)["message"]
    assert load(client, "outside.json").status_code == 422
    assert load(client, "frail.json", ensemble_method="stacking").status_code == 422
    assert load(client, "frail.json", model_type="sklearn").status_code == 422
    assert client.get(f"{BASE}/list").json()["total_models"] == 0
