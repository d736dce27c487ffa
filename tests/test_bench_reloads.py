"""`python -m bench reloads`: that it measures, checks answers, and loses no request."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_short_run(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "reloads.json"
    command = [sys.executable, "-m", "bench", "reloads", "--smoke", "--output", str(file)]
    ended = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stderr
    (taken,) = json.loads(file.read_text())["scenarios"]["reloads of the same file"]
    for figures in taken["rounds"]:
        assert figures["failed"] == 0
        assert figures["p99_us"] > 0
