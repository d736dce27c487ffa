"""Loading, listing, inspecting, reloading and unloading models over HTTP."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_models import fresh_folder, json_rows, rows_of, trained
from http_server import Server, error_of, slipstream_server

BASE = "/api/inference/models"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(
        tmp_path_factory, "http-models-api", "wine.pkl", "cancer.pkl", "pair.onnx", "sizes.py"
    )


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with slipstream_server("--model-dir", "models", cwd=link_to(folder)) as server:
        yield server


def link_to(folder: Path) -> Path:
    """A working directory in which the model directory is ``models``."""
    work = folder.with_name("http-models-work")
    work.mkdir()
    (work / "models").symlink_to(folder)
    return work


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        for model in client.get(f"{BASE}/list").json()["models"]:
            assert client.delete(f"{BASE}/{model['model_id']}").status_code == 200
        yield client


def load(client: httpx.Client, model_path: str, **options: Any) -> dict[str, Any]:
    response = client.post(f"{BASE}/load", json={"model_path": model_path, **options})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def ask(client: httpx.Client, **request: Any) -> httpx.Response:
    request.setdefault("data", json_rows(rows_of("wine", 1)))
    return client.post("/api/inference/predict", json=request)


class TestLoad:
    def test_the_answer(self, client: httpx.Client, folder: Path) -> None:
        body = load(client, "./models/wine.pkl", model_type="sklearn", compile_model=True)
        assert list(body) == [
            "message",
            "model_id",
            "model_type",
            "compiled",
            "load_time",
            "model_size_mb",
            "loaded_at",
            "device",
        ]
        assert body["message"] == "Model loaded successfully"
        assert re.fullmatch(r"model_\w+", body["model_id"])
        assert body["model_type"] == "sklearn"
        assert body["compiled"] is True
        assert type(body["load_time"]) is float
        assert body["load_time"] > 0
        size = (folder / "wine.pkl").stat().st_size
        assert body["model_size_mb"] == pytest.approx(size / 2**20, abs=1e-6)
        assert TIME.fullmatch(body["loaded_at"])
        assert ask(client, model_id=body["model_id"]).status_code == 200

    def test_an_id_may_be_given(self, client: httpx.Client) -> None:
        assert load(client, "wine.pkl", model_id="wine-1.2_a")["model_id"] == "wine-1.2_a"
        assert ask(client, model_id="wine-1.2_a").status_code == 200

    @pytest.mark.parametrize("model_id", ["", "a b", "../x", "a/b", ".x", "-x", "é", "x" * 129, 5])
    def test_an_id_that_cannot_be_one(self, client: httpx.Client, model_id: Any) -> None:
        response = client.post(
            f"{BASE}/load", json={"model_path": "wine.pkl", "model_id": model_id}
        )
        assert response.status_code == 422
        assert "model_id" in error_of(response)["message"]

    def test_not_compiling_says_why(self, client: httpx.Client) -> None:
        body = load(client, "wine.pkl", compile_model=False)
        assert list(body)[-1] == "reason"
        assert body["compiled"] is False
        assert "compile_model" in body["reason"]
        expected = trained("wine").predict(rows_of("wine", 1)).tolist()
        assert ask(client).json()["predictions"] == expected

    def test_a_graph_is_compiled_as_it_is(self, client: httpx.Client) -> None:
        body = load(client, "pair.onnx")
        assert (body["model_type"], body["compiled"]) == ("onnx", True)
        assert "reason" not in body

    def test_the_same_file_twice(self, client: httpx.Client) -> None:
        model_id = load(client, "wine.pkl")["model_id"]
        for path in ("wine.pkl", "./models/wine.pkl", str(Path("models") / "wine.pkl")):
            response = client.post(f"{BASE}/load", json={"model_path": path, "model_id": "another"})
            assert response.status_code == 409
            error = error_of(response)
            assert error["error"] == "ModelAlreadyLoadedError"
            assert error["details"] == {"model_id": model_id}

    def test_the_same_id_twice(self, client: httpx.Client) -> None:
        load(client, "wine.pkl", model_id="mine")
        response = client.post(
            f"{BASE}/load", json={"model_path": "cancer.pkl", "model_id": "mine"}
        )
        assert response.status_code == 409
        assert error_of(response)["details"] == {"model_id": "mine"}

    def test_a_failed_load_leaves_nothing(self, client: httpx.Client) -> None:
        request = {"model_path": "wine.pkl", "model_type": "xgboost"}
        assert client.post(f"{BASE}/load", json=request).status_code == 422
        assert client.get(f"{BASE}/list").json()["total_models"] == 0
        load(client, "wine.pkl")

    def test_custom_code_needs_the_operators_word(self, client: httpx.Client) -> None:
        response = client.post(f"{BASE}/load", json={"model_path": "sizes.py"})
        assert response.status_code == 422
        error = error_of(response)
        assert error["error"] == "UnsafeModelError"
        assert "ALLOW_CUSTOM_CODE" in error["message"]


class TestLookingAtModels:
    def test_list(self, client: httpx.Client) -> None:
        assert client.get(f"{BASE}/list").json() == {
            "models": [],
            "total_models": 0,
            "total_memory_usage_mb": 0.0,
        }
        load(client, "wine.pkl", model_id="first")
        load(client, "pair.onnx", model_id="second")
        assert ask(client, model_id="first").status_code == 200
        body = client.get(f"{BASE}/list").json()
        assert list(body) == ["models", "total_models", "total_memory_usage_mb"]
        assert body["total_models"] == 2
        memory = body["total_memory_usage_mb"]
        assert memory is None or memory > 0
        for model in body["models"]:
            assert list(model) == [
                "model_id",
                "model_type",
                "compiled",
                "loaded_at",
                "inference_count",
                "state",
            ]
            assert TIME.fullmatch(model["loaded_at"])
        assert [
            (m["model_id"], m["model_type"], m["compiled"], m["inference_count"])
            for m in body["models"]
        ] == [("first", "sklearn", True, 1), ("second", "onnx", True, 0)]

    def test_info(self, client: httpx.Client) -> None:
        model_id = load(client, "./models/wine.pkl")["model_id"]
        before = client.get(f"{BASE}/{model_id}/info").json()
        assert list(before) == [
            "model_id",
            "model_type",
            "model_path",
            "compiled",
            "loaded_at",
            "last_used",
            "inference_count",
            "average_inference_time",
            "model_size_mb",
            "memory_usage_mb",
            "backend",
            "state",
            "device",
        ]
        assert before["backend"] == "forest"
        assert before["model_path"] == "./models/wine.pkl"
        assert before["last_used"] is None
        assert before["inference_count"] == 0
        for _ in range(3):
            assert ask(client).status_code == 200
        after = client.get(f"{BASE}/{model_id}/info").json()
        assert after["inference_count"] == 3
        assert TIME.fullmatch(after["last_used"])
        assert after["average_inference_time"] > 0
        memory = after["memory_usage_mb"]
        assert memory is None or memory > 0

    def test_metrics(self, client: httpx.Client) -> None:
        model_id = load(client, "wine.pkl")["model_id"]
        before = client.get(f"{BASE}/{model_id}/metrics").json()
        assert list(before) == [
            "model_id",
            "inference_count",
            "average_inference_time",
            "total_inference_time",
            "last_inference_time",
            "error_count",
            "error_rate",
            "throughput_per_second",
            "memory_usage_mb",
        ]
        assert before["last_inference_time"] is None
        for _ in range(4):
            assert ask(client).status_code == 200
        assert ask(client, data=[[1]]).status_code == 422
        after = client.get(f"{BASE}/{model_id}/metrics").json()
        assert after["inference_count"] == 4
        assert after["total_inference_time"] > 0
        average = after["total_inference_time"] / 4
        assert after["average_inference_time"] == pytest.approx(average)
        assert after["last_inference_time"] > 0
        assert (after["error_count"], after["error_rate"]) == (0, 0.0)
        assert after["throughput_per_second"] > 0

    @pytest.mark.parametrize("what", ["info", "metrics"])
    def test_unknown_models(self, client: httpx.Client, what: str) -> None:
        load(client, "wine.pkl", model_id="here")
        response = client.get(f"{BASE}/elsewhere/{what}")
        assert response.status_code == 404
        error = error_of(response)
        assert error["error"] == "ModelNotFoundError"
        assert error["message"] == "Model with ID 'elsewhere' not found"
        assert error["details"] == {"model_id": "elsewhere", "available_models": ["here"]}


class TestReload:
    def test_the_answer(self, client: httpx.Client) -> None:
        loaded = load(client, "wine.pkl", model_id="w", compile_model=False)
        response = client.post(f"{BASE}/w/reload")
        assert response.status_code == 200
        body = response.json()
        assert list(body) == list(loaded)
        assert body["message"] == "Model reloaded successfully"
        assert (body["model_id"], body["compiled"]) == ("w", False)
        assert ask(client).status_code == 200

    def test_the_file_is_read_again(self, client: httpx.Client, folder: Path) -> None:
        file = folder / "changing.onnx"
        shutil.copyfile(folder / "pair.onnx", file)
        load(client, "changing.onnx", model_id="changing")
        os.replace(shutil.copyfile(folder / "wine.pkl", folder / "next"), file)
        assert client.post(f"{BASE}/changing/reload").json()["model_type"] == "sklearn"
        assert ask(client, model_id="changing").status_code == 200

    def test_a_file_that_went_bad_leaves_the_old_one(
        self, client: httpx.Client, folder: Path
    ) -> None:
        file = folder / "spoilt.pkl"
        shutil.copyfile(folder / "wine.pkl", file)
        load(client, "spoilt.pkl", model_id="spoilt")
        file.write_bytes(b"no model")
        response = client.post(f"{BASE}/spoilt/reload")
        assert response.status_code == 422
        assert error_of(response)["error"] == "ModelLoadError"
        file.unlink()
        assert client.post(f"{BASE}/spoilt/reload").status_code == 404
        assert ask(client, model_id="spoilt").status_code == 200

    def test_unknown(self, client: httpx.Client) -> None:
        assert client.post(f"{BASE}/nobody/reload").status_code == 404


class TestUnload:
    def test_the_answer(self, client: httpx.Client) -> None:
        model_id = load(client, "wine.pkl")["model_id"]
        response = client.delete(f"{BASE}/{model_id}")
        assert response.status_code == 200
        body = response.json()
        assert list(body) == ["message", "model_id", "memory_freed_mb"]
        assert body["message"] == "Model unloaded successfully"
        assert body["model_id"] == model_id
        freed = body["memory_freed_mb"]
        assert freed is None or freed > 0
        assert client.delete(f"{BASE}/{model_id}").status_code == 404
        assert ask(client, model_id=model_id).status_code == 404
        load(client, "wine.pkl", model_id="again")


class TestWithoutAnId:
    def test_the_only_model_answers(self, client: httpx.Client) -> None:
        load(client, "wine.pkl", model_id="only")
        for given in ({}, {"model_id": None}):
            response = ask(client, **given)
            assert response.status_code == 200
            assert response.json()["model_id"] == "only"

    def test_with_several_it_is_400_and_lists_them(self, client: httpx.Client) -> None:
        load(client, "wine.pkl", model_id="one")
        load(client, "pair.onnx", model_id="other")
        response = ask(client)
        assert response.status_code == 400
        error = error_of(response)
        assert error["error"] == "AmbiguousModelError"
        assert error["details"] == {"available_models": ["one", "other"]}

    def test_with_none_it_is_400(self, client: httpx.Client) -> None:
        response = ask(client)
        assert response.status_code == 400
        assert error_of(response)["details"] == {"available_models": []}
