"""The text files of the checkout, and how a finding is reported."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "python" / "slipstream"

_FOLDERS = (".ci", "bench", "cmake", "csrc", "docs", "python", "scripts", "tests")
_SUFFIXES = frozenset(".c .cc .cmake .cuda .h .json .md .py .pyi .sh .toml .txt .yaml".split())
_NAMES = frozenset({"Makefile", "run", ".clang-format", ".clang-tidy", ".dockerignore"})


def _text_files() -> list[Path]:
    candidates = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in _FOLDERS:
        candidates += (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return sorted(
        path
        for path in candidates
        if (path.suffix in _SUFFIXES or path.name in _NAMES) and "__pycache__" not in path.parts
    )


FILES = _text_files()
PYTHON = [path for path in FILES if path.suffix in {".py", ".pyi"}]
CPP = [path for path in FILES if path.suffix in {".h", ".cc"}]


def name_of(path: Path) -> str:
    """``path`` relative to the root of the checkout."""
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str:
    """The text of ``path``."""
    return path.read_text(encoding="utf-8")


def report(findings: Iterable[str]) -> None:
    """Fails with every finding, one a line; passes when there is none."""
    lines = list(findings)
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def require_no_cycle(graph: dict[str, set[str]], what: str) -> None:
    """Fails naming the cycle, if ``graph`` (a node and those it points to) has one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"{what}: {' -> '.join(reversed(error.args[1]))}", pytrace=False)
