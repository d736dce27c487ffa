"""``slipstream serve`` that writes its models' statistics to a file when its engine closes.

Usage: python -m bench.http.watched FILE serve …
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from slipstream.api import Engine
from slipstream.cli.main import main


def watch(file: Path) -> None:
    """Has every engine of this process write to ``file`` before it closes."""
    close = Engine.close

    def write_and_close(engine: Engine, drain_timeout_s: float = 10.0) -> None:
        stats = {model.model_id: model.version.core.stats() for model in engine.models()}
        file.write_text(json.dumps(stats), encoding="utf-8")
        close(engine, drain_timeout_s)

    setattr(Engine, "close", write_and_close)  # noqa: B010 - a method is not assigned otherwise


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
