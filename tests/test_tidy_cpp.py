"""csrc/: includes point down, and concurrency keeps the habits that ThreadSanitizer can check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tidy import cpp_text
from tidy.tree import CPP, CSRC, name_of, report, require_no_cycle, text_of

SOURCES = [path for path in CPP if path.is_relative_to(CSRC)]

MAY_INCLUDE = {
    "core": {"core"},
    "wire": {"core", "wire"},
    "device": {"core", "device"},
    "cuda": {"core", "device", "cuda"},
    "bindings": {"core", "wire", "cuda", "device", "bindings"},
}
"""Folders of csrc/ that a folder may include from; a backend has core, device, cuda and itself."""

STANDARD = re.compile(r"[a-z_]+")
POSIX = re.compile(
    r"(?:(?:sys|linux|netinet|arpa)/[\w/]+|dirent|dlfcn|errno|fcntl|immintrin|link|poll|pthread"
    r"|sched|semaphore|signal|spawn|time|unistd|x86intrin)\.h"
)
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)

RELAXED = re.compile(r"memory_order(?:_|::)relaxed")
RELAXED_ALLOWED = ("csrc/core/sync/", "csrc/core/stats/relaxed_counter.h")
FENCE = re.compile(r"atomic_(?:thread|signal)_fence|__sync_synchronize|_mm_[lsm]fence")
LOUD = re.compile(
    r"std::(?:cout|cerr|clog)\b"
    r"|(?<![\w.>])(?:std::)?(?:abort|exit|quick_exit|terminate|f?printf|f?puts|perror)\("
)


def top_of(path: Path) -> str:
    """The folder directly below csrc/ that ``path`` is in."""
    return path.relative_to(CSRC).parts[0]


def quoted_includes(path: Path) -> Iterator[str]:
    """The headers of ours that ``path`` includes."""
    return (quoted for quoted, _ in INCLUDE.findall(text_of(path)) if quoted)


def angled_includes(path: Path) -> Iterator[str]:
    """The headers of others that ``path`` includes."""
    return (angled for _, angled in INCLUDE.findall(text_of(path)) if angled)


def allowed_folders(path: Path) -> set[str]:
    """The folders of csrc/ that ``path`` may include from."""
    if top_of(path) == "backends":
        return {"core", "device", "cuda", f"backends/{path.relative_to(CSRC).parts[1]}"}
    return MAY_INCLUDE[top_of(path)]


def test_includes_point_down() -> None:
    report(
        f'{name_of(path)}: "{header}": may include only from '
        f"{', '.join(sorted(allowed_folders(path)))}, by the path from csrc/"
        for path in SOURCES
        for header in quoted_includes(path)
        if not any(header.startswith(folder + "/") for folder in allowed_folders(path))
    )


def test_the_core_needs_the_standard_library_only() -> None:
    report(
        f"{name_of(path)}: <{header}> is neither standard C++ nor POSIX"
        for path in SOURCES
        if top_of(path) in {"core", "wire"}
        for header in angled_includes(path)
        if not STANDARD.fullmatch(header) and not POSIX.fullmatch(header)
    )


def test_only_the_bindings_know_python() -> None:
    report(
        f"{name_of(path)}: <{header}>: only csrc/bindings may know Python"
        for path in SOURCES
        if top_of(path) != "bindings"
        for header in angled_includes(path)
        if header.startswith(("pybind11/", "Python.h"))
    )


def test_only_csrc_cuda_knows_the_driver() -> None:
    """Others have to compile without CUDA's headers."""
    internal = {"cuda/driver.h"}
    while True:
        users = {
            path.relative_to(CSRC).as_posix()
            for path in SOURCES
            if path.suffix == ".h" and internal & set(quoted_includes(path))
        }
        if users <= internal:
            break
        internal |= users
    report(
        f"{name_of(path)}: {header}: only csrc/cuda may know CUDA's headers"
        for path in SOURCES
        if top_of(path) != "cuda"
        for header in (*angled_includes(path), *quoted_includes(path))
        if header.startswith(("cuda.h", "cudaTypedefs.h", "cuda_runtime")) or header in internal
    )


def test_headers_have_no_cycle() -> None:
    graph = {
        path.relative_to(CSRC).as_posix(): set(quoted_includes(path))
        for path in SOURCES
        if path.suffix == ".h"
    }
    require_no_cycle(graph, "headers include each other")


def test_every_header_opens_with_what_it_is() -> None:
    report(
        f"{name_of(path)}: opens without a comment: what it is, threads, ownership, failure"
        for path in CPP
        if path.suffix == ".h" and not text_of(path).startswith("// ")
    )


def test_relaxed_order_lives_in_named_types() -> None:
    report(
        f"{name_of(path)}: memory_order_relaxed outside {', '.join(RELAXED_ALLOWED)}"
        for path in SOURCES
        if not name_of(path).startswith(RELAXED_ALLOWED)
        if RELAXED.search(cpp_text.without_comments(text_of(path)))
    )


def test_no_fence_stands_alone() -> None:
    report(
        f"{name_of(path)}: {match.group()}: ThreadSanitizer cannot see a fence"
        for path in CPP
        if (match := FENCE.search(cpp_text.without_comments(text_of(path))))
    )


def test_libraries_neither_print_nor_exit() -> None:
    report(
        f"{name_of(path)}: '{match.group()}': report a Status instead"
        for path in SOURCES
        if (match := LOUD.search(cpp_text.without_comments(text_of(path))))
    )
