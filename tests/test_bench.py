"""``python -m bench`` runs, checks answers and records where it ran; no figure is judged."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WAYS = ["slipstream predict", "slipstream submit", "onnxruntime run"]


@pytest.fixture
def inprocess(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module("bench.inprocess")


def test_a_quick_run_prints_a_table_and_writes_json(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--output", str(file)],
        cwd=root,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    for way in WAYS:
        assert ended.stdout.decode().count(way) == 2

    record = json.loads(file.read_text(encoding="utf-8"))
    assert set(record) == {"environment", "quick", "plan", "inprocess"}
    assert record["quick"] is True
    where = record["environment"]
    assert where["cpu"] and where["cores"] >= 1 and where["time"].endswith("+00:00")
    assert {"slipstream", "onnxruntime", "numpy"} <= set(where["packages"])
    assert where["commit"] is None or len(where["commit"]) == 40

    rows = record["inprocess"]
    assert [(row["batch_rows"], row["way"]) for row in rows] == [
        (size, way) for size in (1, 64) for way in WAYS
    ]
    for row in rows:
        assert row["calls"] == record["plan"]["rounds"] * record["plan"]["calls"]
        assert row["answers_checked"] == 16 * row["batch_rows"]
        assert 0 < row["p5_us"] <= row["median_us"] <= row["p95_us"]
        assert row["ratio_to_onnxruntime"] > 0
        if row["way"] == "onnxruntime run":
            assert row["ratio_to_onnxruntime"] == 1 and row["inline_share"] is None
        if row["way"] == "slipstream submit":
            assert row["inline_share"] == 0, "submit goes through the queue"


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda y: y + np.float32(1e-3), "Not equal"),
        (lambda y: y.astype(np.float64), "dtype"),
        (lambda y: y[:1], "shape"),
    ],
    ids=["value", "dtype", "shape"],
)
def test_a_wrong_answer_fails_before_measuring(inprocess: Any, spoil: Any, what: str) -> None:
    def right(x: np.ndarray) -> np.ndarray:
        return x[:, :3] * 2

    ways = {"wrong one": lambda x: spoil(right(x)), inprocess.REFERENCE: right}
    with pytest.raises(inprocess.WrongAnswerError, match=rf"(?s)wrong one answers 4 rows.*{what}"):
        inprocess.require_same_answers(ways, 4)


def test_a_wrong_answer_fails_the_command(
    inprocess: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    constant = np.zeros((1, 3), np.float32)
    monkeypatch.setattr(inprocess, "onnxruntime_way", lambda file: lambda x: constant)
    assert importlib.import_module("bench.__main__").main(["--quick"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("bench: error: slipstream predict answers 1 rows")
    assert captured.out == ""
