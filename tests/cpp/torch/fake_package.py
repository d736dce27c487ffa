"""Writes a package of AOTInductor's around a library that was compiled for the tests.

Usage: fake_package.py LIBRARY OUTPUT
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

FOLDER = "fake/data/aotinductor/model/k.wrapper"


def main() -> None:
    """The command line."""
    with zipfile.ZipFile(sys.argv[2], "w") as package:
        package.writestr("fake/archive_format", "pt2")
        package.writestr(f"{FOLDER}.cpp", "")
        package.writestr(f"{FOLDER}_metadata.json", '{"AOTI_DEVICE_KEY": "cpu"}')
        package.writestr(f"{FOLDER}.so", Path(sys.argv[1]).read_bytes())


if __name__ == "__main__":
    main()
