"""Files that are no voices, over HTTP: each is told what is wrong, and none stays loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_server import Server, core_error_of, slipstream_server
from speech_models import make_kokoro, make_piper

DEEP = "[" * 200_000
WAV = b"RIFF\0\0\0\0WAVE"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refusals")
    for name, config in (
        ("deep", DEEP),
        ("latin", '{"espeak": {"voice": "\udcff"}}'),
        ("other", "{}"),
        ("silent", '{"audio": {"sample_rate": 1}, "phoneme_id_map": {}}'),
    ):
        beside = make_piper(folder, name).with_name(f"{name}.onnx.json")
        beside.write_bytes(config.encode("utf-8", "surrogateescape"))
    graph = make_piper(folder, "kokoro_like")
    made = folder / "kokoro"
    made.mkdir()
    shutil.copyfile(make_kokoro(made), graph)  # a config of Piper's beside another graph
    alone = make_piper(folder, "alone", speakers=1).with_name("alone.onnx.json")
    alone.write_text(json.dumps({**json.loads(alone.read_text()), "num_speakers": 2}))
    (folder / "folder").mkdir()
    (folder / "folder" / "config.json").write_text(DEEP)
    make_piper(folder, "settings").with_name("settings.onnx.toml").write_text(f"a = {DEEP}")
    (folder / "ensemble.toml").write_text(f"[ensemble]\nmembers = {DEEP}")
    (folder / "ensemble.json").write_text('{"ensemble": ' + DEEP)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with slipstream_server("--model-dir", str(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("deep", "deep.onnx.json cannot be read as the config of a Piper voice"),
        ("latin", "UTF-8"),
        ("other", "other.onnx.json cannot be read as the config"),
        ("silent", "a sample rate of 1 Hz"),
        ("kokoro_like", "a voice of Piper takes input, input_lengths, scales"),
        ("alone", "with several speakers, sid"),
        ("folder", "no model of speech"),
    ],
)
def test_a_voice_that_is_none(client: httpx.Client, folder: Path, name: str, says: str) -> None:
    answer = client.post("/synthesize", json={"text": "Hello.", "model_name": name})
    assert answer.status_code == 422, answer.text
    detail = core_error_of(answer)["detail"]
    assert says in detail
    assert str(folder) not in answer.text and "codec" not in answer.text
    assert loaded(client) == [], "who may only ask for speech loads nothing else by it"


def test_a_model_that_does_not_transcribe(client: httpx.Client) -> None:
    answer = client.post("/transcribe", params={"model_name": "folder"}, content=WAV)
    assert answer.status_code == 422, answer.text
    assert "no model of speech" in core_error_of(answer)["detail"]


def test_a_voice_that_the_operator_loaded_stays(client: httpx.Client) -> None:
    """It is his, whatever else it is."""
    load = {"model_path": "other.onnx", "model_id": "mine"}
    assert client.post("/api/inference/models/load", json=load).status_code == 200
    answer = client.post("/synthesize", json={"text": "Hello.", "model_name": "mine"})
    assert answer.status_code == 422
    answer = client.post("/synthesize", json={"text": "Hello.", "model_name": "other"})
    assert answer.status_code == 422
    assert loaded(client) == ["mine"]
    assert client.delete("/api/inference/models/mine").status_code == 200


@pytest.mark.parametrize("path", ["settings.onnx", "ensemble.toml", "ensemble.json"])
def test_other_files_that_are_nested_too_deep(client: httpx.Client, path: str) -> None:
    answer = client.post("/api/inference/models/load", json={"model_path": path})
    assert answer.status_code == 422, answer.text
    assert path.partition(".")[0] in answer.json()["message"]


def loaded(client: httpx.Client) -> list[Any]:
    return [one["model_id"] for one in client.get("/models").json()["loaded"]]
