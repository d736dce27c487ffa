"""The little Markdown that benchmarks write, as HTML: headings, tables, lists, fences."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

_BOLD = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`([^`]+)`")

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 14px; }
td, th { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
td:first-child, th:first-child { text-align: left; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; font-size: 13px; }
img { max-width: 100%; display: block; margin: 1rem 0; }
"""


def of_markdown(text: str) -> str:
    """The HTML of such a text; everything in it is escaped."""
    return "\n".join(_blocks(text.split("\n")))


def document(title: str, body: str) -> str:
    """A whole page that needs nothing else."""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _blocks(lines: list[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("```"):
            end = next((i for i in range(at + 1, len(lines)) if lines[i] == "```"), len(lines))
            yield f"<pre>{html.escape(chr(10).join(lines[at + 1 : end]))}</pre>"
            at = end + 1
        elif line.startswith("|"):
            end = at
            while end < len(lines) and lines[end].startswith("|"):
                end += 1
            yield _table(lines[at:end])
            at = end
        elif line.startswith("- "):
            end = at
            while end < len(lines) and lines[end].startswith("- "):
                end += 1
            items = "".join(f"<li>{_inline(item[2:])}</li>" for item in lines[at:end])
            yield f"<ul>{items}</ul>"
            at = end
        else:
            level = len(line) - len(line.lstrip("#"))
            if level:
                yield f"<h{level}>{_inline(line[level:].strip())}</h{level}>"
            elif line.strip():
                yield f"<p>{_inline(line)}</p>"
            at += 1


def _table(lines: list[str]) -> str:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{_inline(cell)}</td>' for cell in row)}</tr>\n" for row in rows[2:]
    )
    return f"<table>\n<tr>{head}</tr>\n{body}</table>"


def _inline(text: str) -> str:
    escaped = html.escape(text, quote=False)
    return _CODE.sub(r"<code>\1</code>", _BOLD.sub(r"<b>\1</b>", escaped))
