"""Result files: one JSON object a run, with everything needed to read it a year later."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FORMAT = 1
"""Of the keys that `write` adds; what a suite keeps under its own keys is its own business."""


def write(file: Path, suite: str, record: dict[str, Any]) -> None:
    """Writes ``record`` with the format's number and the suite's name; whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, "suite": suite, **record}, indent=1, allow_nan=False)
    part = file.with_name(file.name + ".part")
    part.write_text(text + "\n", encoding="utf-8")
    os.replace(part, file)


def read(file: Path, suite: str) -> dict[str, Any]:
    """What `write` wrote.

    Raises:
        ValueError: another suite's file, or of another format; the text says which.
    """
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    found = (record.get("format"), record.get("suite"))
    if found != (FORMAT, suite):
        raise ValueError(
            f"{file} holds format {found[0]!r} of suite {found[1]!r}, not format {FORMAT} of "
            f"{suite!r}: run that benchmark again"
        )
    return record
