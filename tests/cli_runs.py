"""Runs ``slipstream`` as a process of its own, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from http_server import clean_environment


def slipstream(
    *arguments: str | Path, state: Path, stdin: str | bytes = b"", **settings: str
) -> subprocess.CompletedProcess[str]:
    """The finished process; artifacts go to ``state``."""
    ended = subprocess.run(
        [sys.executable, "-m", "slipstream.cli.main", *map(str, arguments)],
        env={**clean_environment(), "STATE_DIR": str(state), **settings},
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return subprocess.CompletedProcess(
        ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode()
    )


def run_code(code: str, **environment: str) -> str:
    """What a Python of its own prints that runs this code."""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def refusal(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line with which a command gave up."""
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("slipstream: error:")]
    assert len(lines) == 1, ended.stderr
    return lines[0]
