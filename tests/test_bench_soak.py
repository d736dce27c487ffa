"""``python -m bench soak``: a short one leaves nothing behind, and what is wrong is seen."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

REQUESTS = 3_000


@pytest.fixture
def soak(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root))
    importlib.import_module("bench.soak.command")
    return importlib.import_module("bench.soak")


def test_a_short_soak_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    """Memory is not judged: it is finding its level for longer than this takes."""
    file = tmp_path / "soak.json"
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "soak", "--requests", str(REQUESTS), "--output", file],
        cwd=root,
        capture_output=True,
        timeout=600,
        check=False,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    record = json.loads(file.read_text(encoding="utf-8"))
    assert record["suite"] == "soak" and record["environment"]["cpu"]
    assert record["requests"] == sum(record["asked"].values()) >= REQUESTS
    assert min(record["asked"].values()) > 0 and len(record["asked"]) == 14
    assert record["changes"]["loads"] == record["changes"]["unloads"] >= 4
    first, last = record["looks"][0], record["looks"][-1]
    for name in ("threads", "descriptors", "children", "in_progress"):
        assert last[name] <= first[name], name
    assert (last["in_progress"], last["children"]) == (0, 0)
    assert record["faults"] == [] and record["memory_is_judged"] is False


def test_what_is_wrong_with_an_answer_is_seen(soak: Any) -> None:
    """Each check takes the right answer, and none that was spoilt."""
    from bench.soak import served, ways
    from bench.soak.wire import Reply

    served.make_all()
    question = ways.questions_of(served.SMALL_ONE, 1)[0]
    rows = served.SMALL_ONE.rows(1, seed=1)
    right = {"model_id": "small", "predictions": served.SMALL_ONE.expected(rows).tolist()}

    def fault(status: int, said: dict[str, Any]) -> str | None:
        found: str | None = question.check(Reply(status, {}, msgspec.json.encode(said)))
        return found

    assert fault(200, right) is None
    assert fault(503, right) is not None
    assert fault(200, right | {"model_id": "twin"}) is not None
    spoilt = [[value + 1e-3 for value in row] for row in right["predictions"]]
    for predictions in (spoilt, right["predictions"] * 2, None, [["a"] * 3]):
        assert fault(200, right | {"predictions": predictions}) is not None


def test_what_leaks_is_seen(soak: Any) -> None:
    from bench.soak.vitals import Vitals

    names = {"slip-slow": 2, "python": 8}
    first = Vitals(1000, 10, 20, 1, 0, names)
    assert first.leaks_since(first) == []
    fewer = Vitals(1040, 9, 20, 0, 0, names)
    assert fewer.leaks_since(first) == [] and fewer.growth_since(first) == pytest.approx(0.04)
    for name in ("threads", "descriptors", "children", "in_progress"):
        more = first._replace(**{name: 30})
        (fault,) = more.leaks_since(first)
        assert name.replace("_", " ") in fault
    more = first._replace(threads=12, thread_names=names | {"slip-slow": 3, "slip-new": 1})
    assert more.leaks_since(first)[1:] == [
        "threads named 'slip-slow': 2 at first, 3 now",
        "threads named 'slip-new': 0 at first, 1 now",
    ]
