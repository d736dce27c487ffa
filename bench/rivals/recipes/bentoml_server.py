"""BentoML: a service of one worker; with batching, by its adaptive dispatcher."""

from __future__ import annotations

import bentoml
from predictor import BATCHING, MAX_BATCH, Predictor

LONGEST_MS = 60_000
"""Its default: a request that its dispatcher expects to take longer is refused."""


@bentoml.service(workers=1, traffic={"timeout": 60})
class Network:
    """Answers a list: its batches are joined and dealt out by it, along the first dimension."""

    def __init__(self) -> None:
        self.predictor = Predictor()

    @bentoml.api(batchable=BATCHING, max_batch_size=MAX_BATCH, max_latency_ms=LONGEST_MS)
    def predict(self, data: list[list[float]]) -> list[list[float]]:
        return self.predictor.one(data).tolist()
