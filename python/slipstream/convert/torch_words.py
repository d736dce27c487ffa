"""What torch says when it fails, as one line for whoever loads a model.

Its messages are tracebacks through a model's source, followed by native frames with addresses and
paths of this machine (as in ``csrc/backends/torch/failures.h``): neither is for an answer.
"""

from __future__ import annotations

import re

_FRAMES = re.compile(
    r"Exception raised from |C\+\+ CapturedTraceback:|frame #|\(most recent call first\)"
)
_OF_THIS_MACHINE = re.compile(r"(?<![\w./])/[^\s'\"():,;]*/[^\s'\"():,;]*|\b0x[0-9a-f]{6,}")
_MOST = 300


def first_line(error: Exception) -> str:
    """Of what an exception says; its class where it says nothing."""
    lines = _lines(str(error))
    return lines[0] if lines else type(error).__name__


def last_line(error: Exception) -> str:
    """The same of the last line, which is that of the error in a traceback; may be empty."""
    lines = _lines(str(error))
    return lines[-1] if lines else ""


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in _FRAMES.split(text, maxsplit=1)[0].splitlines()]
    lines = [line for line in lines if line and "HERE" not in line and set(line) - set("~<-^ ")]
    return [_OF_THIS_MACHINE.sub("(…)", line)[:_MOST] for line in lines]
