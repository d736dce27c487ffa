"""Compiles a LightGBM model file with lleaves into a shared library. Runs in lleaves' environment.

Usage: compile_lleaves.py MODEL.txt LIBRARY.so
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import lleaves


def main(model: str, library: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        compiled = Path(scratch) / "forest.o"
        lleaves.Model(model_file=model).compile(cache=compiled)
        subprocess.run(["cc", "-shared", "-o", library, compiled], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
