"""Writes the page: goals, where it was measured, every table, every plot inside the file."""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import goals
from bench.http import scenarios, tables
from bench.lib import environment, marked, results, tools
from bench.lib.goals import evaluate, table
from bench.lib.taken import table as table_of
from bench.report import drawings, html

SUITE = "all"
DOCS = tools.ROOT / "docs" / "performance.md"
TITLE = "slipstream: what was measured"


def write(record: Mapping[str, Any], folder: Path) -> list[str]:
    """Writes ``index.html`` and its plots as PNG; returns sentences worth telling."""
    folder.mkdir(parents=True, exist_ok=True)
    titles = {one.name: one.title for one in scenarios.SCENARIOS}
    drawn, failed = drawings.draw(record["scenarios"], titles, folder)
    parts = [html.of_markdown(markdown_of(record))]
    parts += [_image(one.file, one.title) for one in drawn]
    page = folder / "index.html"
    page.write_text(html.document(TITLE, "\n".join(parts)), encoding="utf-8")
    return [*([failed] if failed else []), f"wrote {page}"]


def write_docs(record: Mapping[str, Any], page: Path = DOCS) -> list[str]:
    """Writes the figures into ``docs/performance.md``, and the plots beside it.

    Raises:
        ValueError: the page has no marks that say where.
    """
    marked.require(page, SUITE)
    folder = page.parent / page.stem
    titles = {one.name: one.title for one in scenarios.SCENARIOS}
    drawn, failed = drawings.draw(record["scenarios"], titles, folder)
    images = [f"![{one.title}]({folder.name}/{one.file.name})\n" for one in drawn]
    body = markdown_of(record).partition("\n")[2].lstrip()  # the page has a title
    marked.replace(
        page, SUITE, "\n".join(["## The server\n", body.replace("\n## ", "\n### "), *images])
    )
    return [*([failed] if failed else []), f"wrote {page}"]


def markdown_of(record: Mapping[str, Any]) -> str:
    """All figures of a run of every suite."""
    return "\n".join(_parts(record))


def _parts(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {TITLE}\n"
    yield f"```text\n{chr(10).join(environment.lines(record['environment']))}\n```\n"
    if record["size"] != "full":
        yield f"**`--{record['size']}`: few and short rounds; not to be quoted.**\n"
    yield "## Goals\n"
    yield "Ratios are taken within rounds of one run; medians of them, and their range.\n"
    outcomes = [evaluate(goal, record["scenarios"], goals.NOT_RIVALS) for goal in goals.GOALS]
    yield table(outcomes)
    mine = [name for name in record["scenarios"] if name not in scenarios.EVERY]
    for name in mine:
        yield f"## {name}\n"
        yield table_of(record["scenarios"][name])
    if "http" in record:
        over_http = [name for name in record["scenarios"] if name in scenarios.EVERY]
        shown = {name: record["scenarios"][name] for name in over_http}
        yield "## Over HTTP\n"
        yield tables.markdown_of({**record["http"], "scenarios": shown})
        notes = {name: note for name, note in record["http"]["notes"].items() if note}
        yield "".join(f"- {name}: {note}\n" for name, note in notes.items())
        pins = record["http"]["rivals"].items()
        yield f"Rivals' packages: {', '.join(f'{name} {version}' for name, version in pins)}\n"


def _image(file: Path, title: str) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{title}" src="data:image/png;base64,{data}">'


def main(arguments: Sequence[str]) -> int:
    """``python -m bench report [FILE]``."""
    parser = argparse.ArgumentParser(prog="python -m bench report", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=tools.WORK / "all.json")
    parser.add_argument("--folder", type=Path, default=tools.WORK / "report")
    parser.add_argument(
        "--docs", action="store_true", help="write docs/performance.md and its plots too"
    )
    options = parser.parse_args(arguments)
    try:
        record = results.read(options.file, SUITE)
        said = write(record, options.folder) + (write_docs(record) if options.docs else [])
        print("\n".join(said))
    except (OSError, ValueError) as error:
        print(f"bench report: error: {error}", file=sys.stderr)
        return 1
    return 0
