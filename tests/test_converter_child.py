"""What the server makes of what a child says: `slipstream.models.converter`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipstream.errors import ModelLoadError
from slipstream.models.converter import Child, run_child

BEGIN = """
import json, os, sys
out = os.fdopen(int(sys.argv[1]), "wb")
json.loads(sys.stdin.buffer.read())
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def answer(code: str, told: list[str] | None = None) -> Any:
        (tmp_path / "a_child.py").write_text(BEGIN + code)
        kind = Child("a_child", "test process", "testing", "try again")
        return run_child({}, tmp_path, 60.0, None if told is None else told.append, kind)

    return answer


def test_a_long_task_tells_its_progress_as_often_as_it_likes(run: Any) -> None:
    """More than a message may have: nobody counts what was read."""
    told: list[str] = []
    code = """
line = json.dumps({"progress": "x" * 180}).encode() + b"\\n"
for _ in range(60):
    out.write(line * 1000)
out.write(b'{"done": true, "result": 7}\\n')
"""
    assert run(code, told) == 7
    assert len(told) == 60_000


def test_one_message_has_a_bound(run: Any) -> None:
    with pytest.raises(ModelLoadError, match="test process said more than it may"):
        run("out.write(b'x' * (9 << 20))")


@pytest.mark.parametrize("said", ["{", "[" * 200_000, "\\xff", "nothing"])
def test_what_cannot_be_understood(run: Any, said: str) -> None:
    with pytest.raises(ModelLoadError, match="test process said what cannot be understood"):
        run(f"out.write(b'{said}\\n')")


@pytest.mark.parametrize("said", ["5", "[]", "null", '"progress"'])
def test_what_is_no_message(run: Any, said: str) -> None:
    with pytest.raises(ModelLoadError, match="ended with status 0"):
        run(f"out.write(b'{said}\\n')")
