"""Custom models whose loading a test holds up: each opens when its gate does."""

from __future__ import annotations

import os
import time
from pathlib import Path

GATED = """
import os
import time
from pathlib import Path

FOLDER = Path({folder!r})
with open(FOLDER / "begun", "a") as begun:
    begun.write("{name} {{}}\\n".format(os.getpid()))
while (FOLDER / "{name}.closed").exists():
    time.sleep(0.005)


class Sum:
    def predict(self, rows):
        return rows.sum(axis=1)


ENTRY = Sum
"""


class GatedFiles:
    """Makes model files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, name: str) -> Path:
        """A model whose load goes on when `open` is called."""
        (self.folder / f"{name}.closed").touch()
        file = self.folder / f"{name}.py"
        file.write_text(GATED.format(folder=str(self.folder), name=name))
        return file

    def open(self, name: str) -> None:
        """Lets it go on."""
        (self.folder / f"{name}.closed").unlink()

    def begun(self) -> list[str]:
        """Names of those whose loading has begun, in that order."""
        return list(dict.fromkeys(name for name, _ in self._lines()))

    def is_running(self, name: str) -> bool:
        """Whether a process is at work on one."""
        return any(_is_alive(int(pid)) for other, pid in self._lines() if other == name)

    def wait_until_begun(self, *names: str) -> None:
        """Until all of these are at work."""
        until = time.monotonic() + 30
        while not set(names) <= set(self.begun()):
            assert time.monotonic() < until, self.begun()
            time.sleep(0.005)

    def _lines(self) -> list[list[str]]:
        file = self.folder / "begun"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
