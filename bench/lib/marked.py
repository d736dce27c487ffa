"""The part of a page that a benchmark writes, between two marks; people write around it."""

from __future__ import annotations

from pathlib import Path


def marks(suite: str) -> tuple[str, str]:
    """Where the part of a suite begins, and where it ends."""
    return f"<!-- bench {suite}: begin -->", f"<!-- bench {suite}: end -->"


def require(page: Path, suite: str) -> str:
    """The text of a page that has the marks; a page that is not there is begun.

    Raises:
        ValueError: the page is there without the marks, so nothing says where to write.
    """
    begin, end = marks(suite)
    text = page.read_text("utf-8") if page.is_file() else f"# Performance\n\n{begin}\n{end}\n"
    if begin not in text or end not in text:
        raise ValueError(f"{page} lacks the marks {begin} and {end}: add them where to write")
    return text


def replace(page: Path, suite: str, part: str) -> None:
    """Writes ``part`` between the marks of the suite.

    Raises:
        ValueError: the page is there without the marks.
    """
    begin, end = marks(suite)
    before, rest = require(page, suite).split(begin, 1)
    after = rest.split(end, 1)[1]
    page.write_text(f"{before}{begin}\n{part}{end}{after}", encoding="utf-8")
