"""``python -m bench sim``: who is said to win, and that what is simulated is what was asked for."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def report(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module("bench.sim.report")


def outcome(policy: str, goodput: float, *good: int) -> dict[str, Any]:
    """Of a policy that answered ``good`` of 1,000 requests of each class in time."""
    classes = [
        {"name": f"class{place}", "offered": 1000, "good": found, "late": 0, "p99_us": 1.0}
        for place, found in enumerate(good)
    ]
    return {"policy": policy, "goodput_of_peak": goodput, "classes": classes}


@pytest.mark.parametrize(
    ("rival", "ours", "beaten"),
    [
        (outcome("r", 0.95, 950), outcome("o", 0.945, 940), False),
        (outcome("r", 0.95, 950), outcome("o", 0.93, 930), True),
        # The highest class that differs decides, whatever the sum is.
        (outcome("r", 0.99, 900, 1000), outcome("o", 0.5, 1000, 100), False),
        (outcome("r", 0.5, 995, 500), outcome("o", 0.9, 1000, 400), True),
        (outcome("r", 0.5, 1000, 400), outcome("o", 0.9, 995, 402), False),
    ],
)
def test_priorities_decide_who_wins(report: Any, rival: Any, ours: Any, beaten: bool) -> None:
    assert report.beats(rival, ours) is beaten
    found = report.verdict({"name": "s", "policies": [ours, rival]})
    assert found.is_lost is beaten and found.rival is rival


def test_the_report_names_what_was_lost(report: Any) -> None:
    record = {
        "scenarios": [
            {"name": "won", "policies": [outcome("slipstream", 1.0, 900), outcome("r", 0.5, 1)]},
            {"name": "lost", "policies": [outcome("slipstream", 0.5, 1), outcome("r", 1.0, 900)]},
        ],
        "isolation": [],
    }
    text = report.markdown_of(record)
    assert "slipstream wins or ties 1 of 2 scenarios." in text
    assert "- behind r in: lost" in text and "in: won" not in text


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_a_quick_run_compares_every_policy(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "sim.json"
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "sim", "--quick", "--only", "flat", "--output", str(file)],
        cwd=root, capture_output=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode()
    record = json.loads(file.read_text(encoding="utf-8"))
    assert record["suite"] == "sim" and record["quick"] is True
    assert len(record["scenarios"]) == 26 and len(record["isolation"]) == 2
    offered = record["requests"] * len(record["seeds"])
    for scenario in record["scenarios"]:
        assert [found["policy"] for found in scenario["policies"]][:2] == ["slipstream", "none"]
        assert len(scenario["policies"]) == 9
        for found in scenario["policies"]:
            assert sum(each["offered"] for each in found["classes"]) == offered
            for each in found["classes"]:
                ends = (each["good"], each["late"], each["refused"], each["dropped"])
                assert sum(ends) == each["offered"] and min(ends) >= 0
            assert 0 <= found["goodput_of_peak"] < 1.1
