"""A version is warm before it answers: at load, and before a reload swaps it in."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from http_models import Gate, fresh_folder, json_rows, rows_of, trained
from http_server import error_of, slipstream_server
from slipstream import Engine
from slipstream.engine.inputs import inputs_from

BASE = "/api/inference"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "warmup", "wine.pkl", "penguins.pkl", "pair.onnx")


@pytest.fixture(scope="module")
def gate(folder: Path) -> Gate:
    """A model that writes down what it runs, and fails on rows of another width than 1."""
    gate = Gate(folder, "noted")
    text = gate.file.read_text()
    check = "        if rows[0, 0] < 0:\n            raise ValueError('below zero')\n"
    head = "    def predict(self, rows):\n"
    gate.file.write_text(text.replace(head, head + check))
    return gate


@pytest.fixture(scope="module")
def client(folder: Path, gate: Gate) -> Iterator[httpx.Client]:
    env = {"ALLOW_CUSTOM_CODE": "True", "MODEL_CACHE_SIZE": "0", "MEMORY_LIMIT_MB": "0"}
    server = slipstream_server("--model-dir", str(folder), env=env)
    with server as running, running.client() as client:
        yield client


def load(client: httpx.Client, path: str, model_id: str) -> httpx.Response:
    body = {"model_path": path, "model_id": model_id}
    return client.post(f"{BASE}/models/load", json=body)


def prepare(client: httpx.Client, gate: Gate, model_id: str) -> None:
    """The converter calls it on a row, once; here is only about what comes after."""
    assert load(client, f"{model_id}.py", model_id).status_code == 200
    assert client.delete(f"{BASE}/models/{model_id}").status_code == 200
    gate.close()  # nothing is written down yet
    gate.open()


def count(client: httpx.Client, model_id: str) -> int:
    return int(client.get(f"{BASE}/models/{model_id}/info").json()["inference_count"])


class TestDeclared:
    """In order: each begins with what the one before has left."""

    def test_rows_of_the_sidecar_run_at_load(
        self, client: httpx.Client, folder: Path, gate: Gate
    ) -> None:
        prepare(client, gate, "noted")
        (folder / "noted.py.toml").write_text("[warmup]\nrows = [[5.0]]\n[other]\nkey = 1\n")
        assert load(client, "noted.py", "noted").status_code == 200
        assert set(gate.ran) == {5.0}
        assert count(client, "noted") == 0
        info = client.get(f"{BASE}/models/noted/info").json()
        assert info["last_used"] is None

    def test_and_before_a_reload_swaps(
        self, client: httpx.Client, folder: Path, gate: Gate
    ) -> None:
        old_worker = gate.worker
        (folder / "noted.py.toml").write_text("[warmup]\nrows = [[6.0], [7.0]]\n")
        assert client.post(f"{BASE}/models/noted/reload").status_code == 200
        assert set(gate.ran) == {5.0, 6.0}  # the first of a batch is written down
        assert gate.worker != old_worker

    def test_rows_that_fail_leave_the_old_version(self, client: httpx.Client, folder: Path) -> None:
        (folder / "noted.py.toml").write_text("[warmup]\nrows = [[-1.0]]\n")
        response = client.post(f"{BASE}/models/noted/reload")
        assert response.status_code == 422
        error = error_of(response)
        assert error["error"] == "ModelLoadError"
        assert "noted.py.toml" in error["message"]
        assert "below zero" in error["message"]
        answer = client.post(f"{BASE}/predict", json={"model_id": "noted", "data": [[3]]})
        assert answer.json()["predictions"] == [3]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[warmup]\nrows = [[1.0, 2.0]]\n", "14"),
            ("[warmup]\nrows = 'x'\n", "wine.pkl.toml"),
            ("[warmup]\nrow = []\n", "row"),
            ("[warmup]\n", "rows"),
            ("[warmup\n", "is not valid"),
        ],
    )
    def test_a_wrong_sidecar(
        self, client: httpx.Client, folder: Path, text: str, words: str
    ) -> None:
        sidecar = folder / "wine.pkl.toml"
        sidecar.write_text(text)
        try:
            response = load(client, "wine.pkl", "wine")
            assert response.status_code == 422
            assert words in error_of(response)["message"] or words == "14"
        finally:
            sidecar.unlink()
        assert client.get(f"{BASE}/models/wine/info").status_code == 404


class TestMadeUp:
    def test_custom_code_is_not_called(self, client: httpx.Client, folder: Path) -> None:
        quiet = Gate(folder, "quiet")
        prepare(client, quiet, "quiet")
        assert load(client, "quiet.py", "quiet").status_code == 200
        assert quiet.ran == []

    @pytest.mark.parametrize("name", ["wine.pkl", "penguins.pkl", "pair.onnx"])
    def test_nothing_is_counted(self, client: httpx.Client, name: str) -> None:
        assert load(client, name, name).status_code == 200
        assert count(client, name) == 0
        status = client.get(f"{BASE}/engine/status").json()
        client.post(f"{BASE}/models/{name}/reload")
        again = client.get(f"{BASE}/engine/status").json()
        assert again["total_predictions"] == status["total_predictions"]

    @pytest.mark.parametrize("name", ["wine", "penguins"])
    def test_the_core_knows_what_it_costs(self, tmp_path: Path, name: str) -> None:
        """So the first request already runs inline, which takes a learned time."""
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(trained(name)))
        with Engine(state_dir=tmp_path / "state") as engine:
            model = engine.load(tmp_path / f"{name}.pkl")
            assert model.compiled
            assert model.manifest.warmup_rows
            inputs = inputs_from(model.signature, rows_of(name, 1))
            assert model.version.core.try_run_inline(inputs) is not None
            assert np.array_equal(
                model.predict(rows_of(name)), trained(name).predict(rows_of(name))
            )

    def test_requests_while_it_is_reloaded(self, client: httpx.Client) -> None:
        load(client, "wine.pkl", "wine.pkl")
        rows = json_rows(rows_of("wine"))
        right = trained("wine").predict(rows_of("wine")).tolist()
        for _ in range(3):
            assert client.post(f"{BASE}/models/wine.pkl/reload").status_code == 200
            answer = client.post(f"{BASE}/predict", json={"model_id": "wine.pkl", "data": rows})
            assert answer.json()["predictions"] == right
