"""The tree stays readable: short files, short functions, nothing unfinished, nothing local.

The limits ratchet: lower one when the tree allows it, never raise one.
"""

from __future__ import annotations

import ast
import re

import pytest

from tidy import cpp_text
from tidy.tree import CPP, FILES, PYTHON, name_of, report, text_of

FILE_LINES = {"csrc/core/sync/": 300, "scripts/": 150, "": 450}
"""Most lines of a file, by folder; the longest prefix decides."""

FUNCTION_LINES = 70

UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b|\b[Nn]ot[ _]implemented\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(?:work|root|opt|home)(?=[/\s\"'`),:;]|$)")


def test_files_are_short() -> None:
    findings = []
    for path in PYTHON + CPP:
        limit = FILE_LINES[max(filter(name_of(path).startswith, FILE_LINES), key=len)]
        lines = text_of(path).count("\n")
        if lines > limit:
            findings.append(f"{name_of(path)}: {lines} lines, at most {limit}: split it by idea")
    report(findings)


def test_python_functions_are_short() -> None:
    report(
        f"{name_of(path)}:{node.lineno}: {node.name}: {lines} lines, at most {FUNCTION_LINES}"
        for path in PYTHON
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    )


def test_cpp_functions_are_short() -> None:
    report(
        f"{name_of(path)}:{function.first_line}: {function.head[-60:]}: {function.lines} lines, "
        f"at most {FUNCTION_LINES}"
        for path in CPP
        for function in cpp_text.functions(text_of(path))
        if function.lines > FUNCTION_LINES
    )


def test_the_cpp_measure_finds_function_bodies_only() -> None:
    source = """
    namespace a { // } a comment
    struct alignas(64) Lane { int x{1}; std::string s = "}"; };
    template <class T> Status f(T x) noexcept { if (x) { g([] { return 1; }); } }
    Engine::Engine(int n) : n_(n), m_{n}, k_{1} {
      start();
    }
    constexpr std::int64_t kLimit = 1'000'000;
    enum class E { kOne };
    TEST(name) {
      CHECK('{' == "{"[0]);
    }
    }
    """
    assert [
        (found.head.partition("(")[0], found.lines) for found in cpp_text.functions(source)
    ] == [
        ("template <class T> Status f", 1),
        ("Engine::Engine", 3),
        ("TEST", 3),
    ]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (UNFINISHED, "finish it, or say in the documentation what is not there"),
        (MACHINE_PATH, "a path of some machine; make it relative or configurable"),
    ],
    ids=["unfinished", "machine path"],
)
def test_text_holds_nothing_unfinished_or_local(pattern: re.Pattern[str], why: str) -> None:
    report(
        f"{name_of(path)}:{number}: {match.group()!r}: {why}"
        for path in FILES
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if (match := pattern.search(line))
    )
