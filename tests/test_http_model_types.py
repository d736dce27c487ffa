"""Types of models over HTTP: what is recognised, what is refused, and with which words."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

import httpx
import pytest

from ensemble_files import data, voting, write_members
from http_server import Server, error_of, slipstream_server

LOAD = "/api/inference/models/load"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("types")
    write_members(folder, "wine", voting("wine"))
    with zipfile.ZipFile(folder / "script.pt", "w") as archive:
        archive.writestr("net/code/__torch__.py", "")
        archive.writestr("net/constants.pkl", "")
    (folder / "engine.plan").write_bytes(b"ftrt" + bytes(200))
    saved = folder / "saved"
    saved.mkdir()
    (saved / "saved_model.pb").write_bytes(b"\x08\x01\x12\x04\x0a\x02\x22\x00")
    (folder / "empty").mkdir()
    (folder / "leak").mkdir()
    (folder / "leak" / "saved_model.pb").symlink_to("/etc/hostname")
    with slipstream_server("--model-dir", str(folder)) as server:
        yield server


def load(server: Server, model_path: str, model_type: str = "auto") -> httpx.Response:
    with server.client(timeout=120) as client:
        body = {"model_path": model_path, "model_type": model_type}
        return client.post(LOAD, json=body)


@pytest.mark.parametrize("model_type", ["auto", "pytorch", "torch"])
def test_torch_files_that_are_damaged_are_422(server: Server, model_type: str) -> None:
    answer = load(server, "script.pt", model_type)
    error = error_of(answer)
    assert answer.status_code == 422 and error["error"] == "ModelLoadError"
    assert "TorchScript" in error["message"]


def test_tensorrt_engines_are_422_where_they_cannot_run(server: Server) -> None:
    answer = load(server, "engine.plan", "tensorrt")
    assert answer.status_code == 422 and "TensorRT" in error_of(answer)["message"]


@pytest.mark.parametrize("model_type", ["pytorch", "tensorflow", "tensorrt", "onnx", "xgboost"])
def test_another_type_than_the_file_is_says_what_it_is(server: Server, model_type: str) -> None:
    answer = load(server, "forest.pkl", model_type)
    error = error_of(answer)
    assert answer.status_code == 422 and error["error"] == "ModelLoadError"
    assert error["details"]["found"] == "sklearn" and "sklearn" in error["message"]


def test_folders_are_models_only_if_they_are_saved_models(server: Server) -> None:
    assert load(server, "empty").status_code == 404
    assert load(server, "leak").status_code in (404, 422)
    answer = load(server, "saved", "sklearn")
    assert answer.status_code == 422 and "SavedModel" in error_of(answer)["message"]


def test_each_type_of_a_booster_loads_by_its_name(server: Server) -> None:
    for file, kind in (("boost.ubj", "xgboost"), ("light.txt", "lightgbm"), ("line.onnx", "onnx")):
        answer = load(server, file, kind)
        assert answer.status_code == 200 and answer.json()["model_type"] == kind
        with server.client() as client:
            rows = data("wine").rows[:3].tolist()
            model_id = answer.json()["model_id"]
            body = {"model_id": model_id, "data": rows}
            assert client.post("/api/inference/predict", json=body).status_code == 200
