"""``python -m bench.micro.*`` run, check values and write what they measured; nothing is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("suite", "rivals"),
    [
        ("parse", {"msgspec + asarray", "msgspec typed + asarray", "std::from_chars (C++)"}),
        ("encode", {"msgspec of tolist", "std::to_chars (C++)"}),
    ],
)
def test_a_quick_run_writes_ratios(
    root: Path, tmp_path: Path, suite: str, rivals: set[str]
) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", f"bench.micro.{suite}", "--quick", "--output", str(file)]
    ended = subprocess.run(command, cwd=root, capture_output=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    record = json.loads(file.read_text(encoding="utf-8"))
    assert record["suite"] == f"micro-{suite}" and record["quick"] is True
    assert record["environment"]["cpu"]
    for measured in record[suite]:
        assert set(measured["ratios"]) == rivals
        assert all(ratio["median"] > 0 for ratio in measured["ratios"].values())
