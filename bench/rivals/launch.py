"""What the start of a rival depends on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bench.http.models import Model

RECIPES = Path(__file__).resolve().parent / "recipes"


class Launch(NamedTuple):
    """One start."""

    python: Path
    """Of the rival's environment."""
    port: int
    model: Model
    batching: bool

    def variables(self) -> dict[str, str]:
        """What ``recipes/predictor.py`` and the server files read."""
        return {
            "BENCH_MODEL": str(self.model.onnx),
            "BENCH_OUTPUT": self.model.output,
            "BENCH_PORT": str(self.port),
            "BENCH_BATCHING": "1" if self.batching else "0",
            "PYTHONPATH": str(RECIPES),
            "OMP_NUM_THREADS": "1",
        }
