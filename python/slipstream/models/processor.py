"""What machine code may rely on: artifacts that were compiled here run on processors like this."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path


@cache
def processor_digest() -> str:
    """Equal on machines whose processors have the same instructions."""
    lines = [platform.machine()]
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
        lines += [line for line in text.splitlines() if line.startswith(("flags", "Features"))][:1]
    except OSError:
        lines.append(platform.processor())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
