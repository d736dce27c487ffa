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


def test_single_parts_are_timed_beside_their_rivals(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "micro.json"
    command = [sys.executable, "-m", "bench", "micro", "--smoke", "--output", str(file)]
    ended = subprocess.run(command, cwd=root, capture_output=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    scenarios = json.loads(file.read_text(encoding="utf-8"))["scenarios"]
    found = {name.removeprefix("micro: "): {one["name"] for one in scenarios[name]}
             for name in scenarios}  # fmt: skip
    assert found["queue, 2 producers and consumers"] == {"queue[mpmc-2]", "queue[mutex-2]"}
    assert found["parse, 17 digits"] == {"parse[slipstream-17]", "parse[msgspec-17]"}
    assert {"batcher", "completion", "encode", "in process, one row"} <= set(found)
    for taken in scenarios.values():
        assert all(one["medians"]["median_ns"] > 0 for one in taken)


def test_policies_of_overlap_take_turns(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "overlap.json"
    command = [sys.executable, "-m", "bench", "overlap", "--smoke", "--output", str(file)]
    ended = subprocess.run(command, cwd=root, capture_output=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    scenarios = json.loads(file.read_text(encoding="utf-8"))["scenarios"]
    assert len(scenarios) == 4
    for policies in scenarios.values():
        assert [one["name"] for one in policies][-1] == "full or worth it"
        assert all(one["medians"]["requests_per_s"] > 0 for one in policies)
        assert all(1 <= one["medians"]["rows_a_batch"] <= 64 for one in policies)
