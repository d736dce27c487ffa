"""Prints the requirements of the named sets of pyproject.toml, one a line, for ``pip -r``.

A set is ``project`` (the dependencies of the package itself), an extra, or a dependency group.
``--without NAME`` leaves out a distribution. pip can install a project's dependencies only by
building the project; this lets them be installed first, so that the build can use them.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def distribution(requirement: str) -> str:
    """The normalised distribution name that a requirement starts with."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    if match is None:
        raise SystemExit(f"pyproject.toml: {requirement!r} names no distribution")
    return re.sub(r"[-_.]+", "-", match.group()).lower()


def expand(name: str, sets: dict[str, list[str]], project: str) -> Iterator[str]:
    """The requirements of set ``name``, with references to the project's own extras resolved."""
    if name not in sets:
        raise SystemExit(f"no set {name!r} in pyproject.toml; there are: {', '.join(sorted(sets))}")
    for requirement in sets[name]:
        if distribution(requirement) != project:
            yield requirement
            continue
        extras = re.search(r"\[([^]]*)\]", requirement)
        for extra in extras.group(1).split(",") if extras else ():
            yield from expand(extra.strip(), sets, project)


def requirements(names: list[str], without: frozenset[str] = frozenset()) -> list[str]:
    """The requirements of all named sets, each once, sorted."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    sets = {
        "project": project["dependencies"],
        **project["optional-dependencies"],
        **document["dependency-groups"],
    }
    found = {line for name in names for line in expand(name, sets, project["name"])}
    return sorted(line for line in found if distribution(line) not in without)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sets", nargs="+", metavar="SET")
    parser.add_argument("--without", action="append", default=[], metavar="NAME")
    options = parser.parse_args()
    print("\n".join(requirements(options.sets, frozenset(options.without))))


if __name__ == "__main__":
    main()
