"""``slipstream inspect``: what a file is, without ever opening a pickle in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli_runs import refusal, slipstream
from http_models import canary_of, model_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory)


def report(file: Path, *arguments: str, **settings: str) -> dict[str, Any]:
    state = file.parent / ".slipstream"
    ended = slipstream("inspect", file, "--json", *arguments, state=state, **settings)
    assert ended.returncode == 0, ended.stderr
    body: dict[str, Any] = json.loads(ended.stdout)
    return body


def test_a_classifier(folder: Path) -> None:
    body = report(folder / "cancer.pkl")
    assert list(body) == [
        "model_path",
        "model_size_mb",
        "model_type",
        "framework",
        "estimator",
        "task",
        "compiled",
        "reason",
        "backend",
        "accepts_missing",
        "inputs",
        "outputs",
        "columns",
        "classes",
    ]
    size = (folder / "cancer.pkl").stat().st_size
    assert body["model_size_mb"] == pytest.approx(size / 2**20, abs=1e-6)
    assert (body["model_type"], body["estimator"]) == ("sklearn", "Pipeline")
    assert body["framework"].startswith("scikit-learn ")
    assert (body["compiled"], body["reason"], body["backend"]) == (True, None, "forest")
    assert body["inputs"] == [{"name": "input", "dtype": "float64", "shape": [None, 30]}]
    assert [output["name"] for output in body["outputs"]] == ["predictions", "probabilities"]
    assert body["classes"] == ["benign", "malignant"]


def test_why_it_is_not_compiled(folder: Path) -> None:
    body = report(folder / "wine.pkl", ENABLE_COMPILATION="False")
    assert (body["compiled"], body["backend"]) == (False, "process")
    assert "compile" in body["reason"]


def test_a_table_with_text(folder: Path) -> None:
    body = report(folder / "penguins.pkl")
    assert (body["compiled"], body["reason"], body["backend"]) == (True, None, "forest")
    assert body["columns"][0] == "island"
    assert body["inputs"][0] == {"name": "island", "dtype": "string", "shape": [None, 1]}


def test_a_graph(folder: Path) -> None:
    body = report(folder / "pair.onnx")
    assert (body["model_type"], body["compiled"]) == ("onnx", True)
    assert body["inputs"] == [
        {"name": "left", "dtype": "float32", "shape": [None, 3]},
        {"name": "right", "dtype": "float32", "shape": [None, 1]},
    ]
    assert [output["name"] for output in body["outputs"]] == ["scaled", "largest"]


def test_as_text(folder: Path) -> None:
    ended = slipstream("inspect", folder / "wine.pkl", state=folder / ".slipstream")
    assert ended.returncode == 0
    lines = {line[:12].strip(): line[12:] for line in ended.stdout.splitlines()}
    size = (folder / "wine.pkl").stat().st_size
    assert lines["file"] == f"wine.pkl, {size:,} bytes"
    assert lines["made with"].startswith("RandomForestClassifier (scikit-learn ")
    assert lines["compiled"] == "yes"
    assert lines["inputs"] == "input  float64 [any, 13]"
    assert lines["classes"] == "0, 1, 2"


def test_refusals(folder: Path, tmp_path: Path) -> None:
    def refused(file: Path, *arguments: str) -> str:
        return refusal(slipstream("inspect", file, *arguments, state=tmp_path))

    assert "system" in refused(folder / "hostile.pkl")
    assert not canary_of(folder).exists()
    assert "junk.pkl is no model" in refused(folder / "junk.pkl")
    assert "ALLOW_CUSTOM_CODE" in refused(folder / "sizes.py")
    assert "no model file" in refused(folder / "absent.pkl")
    assert "xgboost" in refused(folder / "wine.pkl", "--type", "xgboost")


def test_custom_code_where_it_is_allowed(folder: Path) -> None:
    body = report(folder / "sizes.py", ALLOW_CUSTOM_CODE="True")
    assert (body["model_type"], body["estimator"], body["backend"]) == (
        "custom",
        "Sizes",
        "process",
    )
