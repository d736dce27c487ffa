"""Just enough C++ to measure it: comments and literals blanked out, functions found by braces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    //[^\n]*
  | /\*.*?\*/
  | R"(?P<mark>[^()\\\s]*)\(.*?\)(?P=mark)"
  | "(?:\\.|[^"\\\n])*"
  | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'
    """,
    re.VERBOSE | re.DOTALL,
)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_NOT_FUNCTION = re.compile(
    r"^\s*(?:(?:template\s*<.*?>|\[\[.*?\]\]|inline|static|typedef)\s*)*"
    r"(?:namespace|class|struct|union|enum|extern\s*$)\b",
    re.DOTALL,
)


class Function(NamedTuple):
    """A function body: the text before its brace, and its first and last line."""

    head: str
    first_line: int
    last_line: int

    @property
    def lines(self) -> int:
        """Lines from the opening brace's line to the closing one's."""
        return self.last_line - self.first_line + 1


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def without_comments(source: str) -> str:
    """``source`` with comments and literals blanked, every line kept in its place."""
    return _TOKEN.sub(_blank, source)


def functions(source: str) -> Iterator[Function]:
    """The outermost function bodies of ``source`` (a lambda counts to the function around it).

    Relies on clang-format: a body's brace follows a space, that of an initializer a name.
    """
    text = _DIRECTIVE.sub(_blank, without_comments(source))
    depth = 0
    started: Function | None = None
    outer_depth = 0  # of the braces around the function we are in
    initializer: int | None = None  # depth of the braces around `member_{value}`
    head_start = 0
    for match in re.finditer(r"[{};]", text):
        position, line = match.start(), text.count("\n", 0, match.start()) + 1
        if match.group() == "{":
            head = text[head_start:position]
            if started is None and initializer is None:
                if re.search(r"[\w>\]]$", head):
                    initializer = depth
                elif ")" in head and not _NOT_FUNCTION.match(head):
                    started = Function(" ".join(head.split()), line, line)
                    outer_depth = depth
            depth += 1
        elif match.group() == "}":
            depth -= 1
            if initializer == depth:
                initializer = None
                continue
            if started is not None and depth == outer_depth:
                yield started._replace(last_line=line)
                started = None
        if initializer is None:
            head_start = position + 1
