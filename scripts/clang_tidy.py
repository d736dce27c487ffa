"""Runs clang-tidy over csrc/, several files at a time, and only where something changed.

A clean file leaves a stamp named by the hash of all that its result depended on: its compile
command, itself, every header of ours that it reaches, .clang-tidy and clang-tidy's version.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def reach(source: Path, seen: dict[Path, bytes]) -> None:
    """Adds ``source`` and every header of csrc/ that it includes, directly or not, to ``seen``."""
    if source in seen or not source.is_file():
        return
    seen[source] = source.read_bytes()
    for name in INCLUDE.findall(seen[source].decode("utf-8")):
        reach(CSRC / name, seen)
        reach(source.parent / name, seen)


def fingerprint(source: Path, command: str, common: bytes) -> str:
    """The name of the stamp that ``source`` leaves when it is clean."""
    seen: dict[Path, bytes] = {}
    reach(source, seen)
    digest = hashlib.sha256(common + command.encode())
    for path in sorted(seen):
        digest.update(str(path).encode() + b"\0" + seen[path] + b"\0")
    return digest.hexdigest()


def check(source: Path, build: Path) -> tuple[Path, int, str]:
    """Lints one file; returns it with clang-tidy's exit status and what it printed."""
    command = ["clang-tidy", "--quiet", "-p", str(build), str(source)]
    # Built by gcc: clang knows its warning options only in part, and computes constants for less
    # long (the tables that the compiler fills in).
    command.append("--extra-arg=-Wno-unknown-warning-option")
    command.append("--extra-arg=-fconstexpr-steps=100000000")
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return source, run.returncode, run.stdout + (run.stderr if run.returncode else "")


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--build", type=Path, required=True, help="holds compile_commands.json")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()

    entries = json.loads((options.build / "compile_commands.json").read_bytes())
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes()
    stamps = options.build / "clean"
    stamps.mkdir(exist_ok=True)

    wanted: dict[Path, Path] = {}
    for entry in entries:
        source = Path(entry["directory"], entry["file"]).resolve()
        if source.is_relative_to(CSRC):
            wanted[source] = stamps / fingerprint(source, entry["command"], common)
    stale = [source for source, stamp in wanted.items() if not stamp.exists()]
    for stamp in set(stamps.iterdir()) - set(wanted.values()):
        stamp.unlink()

    failed = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for source, status, output in pool.map(lambda path: check(path, options.build), stale):
            if status == 0:
                wanted[source].touch()
                continue
            failed += 1
            print(f"{source.relative_to(ROOT)}:\n{output}", flush=True)
    print(f"clang-tidy: {len(wanted)} files, {len(stale)} checked, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
