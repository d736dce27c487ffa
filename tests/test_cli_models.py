"""``slipstream models``: the list held against its rules and against the files that are there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cli_runs import slipstream
from http_models import canary_of, fresh_folder, model_folder


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_folder(tmp_path_factory, "cli-models", "wine.pkl", "pair.onnx", "sizes.py")


def write(folder: Path, *entries: dict[str, Any]) -> None:
    (folder / "models.json").write_text(json.dumps({"models": entries}, indent=1))


def check(folder: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    ended = slipstream(
        "models", "check", str(folder), *arguments, state=folder / ".slipstream", **settings
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout


def test_all_is_well(folder: Path) -> None:
    digest = hashlib.sha256((folder / "wine.pkl").read_bytes()).hexdigest()
    write(
        folder,
        {"model_path": "wine.pkl", "model_id": "wine", "sha256": digest},
        {"model_path": "pair.onnx", "model_type": "onnx"},
        {"model_path": "absent.pkl", "enabled": False},
    )
    status, said = check(folder)
    assert status == 0, said
    assert said.splitlines()[0].startswith("ok    wine: wine.pkl: ")
    assert said.splitlines()[2].startswith("off   absent.pkl: ")
    assert "3 models, 0 of them wrong" in said
    ended = slipstream("models", "check", state=folder / ".slipstream", MODEL_DIR=str(folder))
    assert (ended.returncode, ended.stdout) == (0, said), "the folder of the settings"


def test_what_is_wrong_with_the_files(folder: Path) -> None:
    (folder / "ensemble.json").write_text('{"members": []}')
    write(
        folder,
        {"model_path": "wine.pkl", "sha256": "0" * 64},
        {"model_path": "absent.pkl"},
        {"model_path": "../outside.pkl"},
        {"model_path": "pair.onnx", "model_type": "sklearn"},
        {"model_path": "sizes.py"},
        {"model_path": "ensemble.json"},
    )
    status, said = check(folder, "--json")
    report = json.loads(said)
    assert (status, report["valid"], report["problems"]) == (1, False, [])
    told = [one["problem"] for one in report["models"]]
    actual = hashlib.sha256((folder / "wine.pkl").read_bytes()).hexdigest()
    expected = [
        actual,
        "no model file",
        "MODEL_DIR",
        "not 'sklearn'",
        "ALLOW_CUSTOM_CODE",
        "member",
    ]
    for message, says in zip(told, expected, strict=True):
        assert says in message
    assert report["models"][0]["size_mb"] > 0
    assert check(folder, "--json", ALLOW_CUSTOM_CODE="True")[1].count('"problem": null') == 1


def test_words_of_gpus_that_no_machine_could_follow(folder: Path) -> None:
    (folder / "x.plan").write_bytes(b"ftrt" + bytes(24))
    (folder / "own.plan").write_bytes(b"ftrt" + bytes(25))
    (folder / "own.plan.toml").write_text('[tensorrt]\ndevice = "cuda:0"\n')
    entries = [
        {"model_path": "pair.onnx", "device": "CUDA:0 , cuda:1", "gpu_memory_limit_mb": 9},
        {"model_path": "wine.pkl", "device": "cuda"},  # may become a graph
        {"model_path": "own.plan"},
        {"model_path": "x.plan", "device": "cpu"},
        {"model_path": "sizes.py", "device": "cuda:0"},
    ]
    write(folder, *entries)
    status, said = check(folder, "--json", ALLOW_CUSTOM_CODE="True")
    told = [one["problem"] for one in json.loads(said)["models"]]
    assert (status, told[:3]) == (1, [None, None, None])
    assert told[3].startswith("x.plan cannot compute on cpu: an engine of TensorRT computes on GP")
    assert told[4].startswith("sizes.py cannot compute on cuda:0: it runs in the 'process' backen")
    write(
        folder,
        {"model_path": "x.plan", "gpu_memory_limit_mb": 9},
        {"model_path": "sizes.py", "gpu_graph_rows": 1},
        {"model_path": "pair.onnx", "gpu_provider": "nobodys"},
        {"model_path": "own.plan"},
    )
    said = check(folder, "--json", ALLOW_CUSTOM_CODE="True", DEVICE="cpu")[1]
    told = [one["problem"] for one in json.loads(said)["models"]]
    assert "takes no 'gpu_memory_limit_mb'" in told[0]
    assert "takes no 'gpu_graph_rows'" in told[1]
    assert "'gpu_provider' is not valid: 'nobodys'" in told[2]
    assert told[3] is None


def test_what_is_wrong_with_the_list(folder: Path) -> None:
    file = folder / "models.json"
    assert check(folder) == (1, f"{file}: there is no such file\n")
    file.write_text('{"models": [\n {"model_path": "wine.pkl", "model_idd": "x"},\n {}]}')
    status, said = check(folder)
    assert status == 1
    assert said.splitlines() == [
        f"{file}:2:29: models[0].model_idd: unknown key 'model_idd'; did you mean 'model_id'?",
        f"{file}:3:2: models[1]: the key 'model_path' is missing",
    ]


def test_a_hostile_pickle_is_not_opened(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = model_folder(tmp_path_factory)
    try:
        write(folder, {"model_path": "hostile.pkl"})
        check(folder)
        assert not canary_of(folder).exists()
    finally:
        (folder / "models.json").unlink()


def test_the_schema(folder: Path) -> None:
    ended = slipstream("models", "schema", state=folder / ".slipstream")
    assert ended.returncode == 0
    schema = json.loads(ended.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"$schema": "x", "models": [{"model_path": "a.onnx"}]})
    assert not validator.is_valid({"models": [{"model_path": "a.onnx", "instancs": 1}]})
    assert not validator.is_valid({})
