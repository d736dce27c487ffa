"""Ray Serve: one replica; with batching, up to 32 requests that came within 1 ms."""

from __future__ import annotations

import signal
from typing import Any

import ray
from predictor import BATCHING, MAX_BATCH, PORT, WAIT_MS, Predictor
from ray import serve


@serve.deployment(num_replicas=1, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 1})
class Network:
    """Answers requests, one by one or many at once."""

    def __init__(self) -> None:
        self.predictor = Predictor()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=WAIT_MS / 1e3)
    async def together(self, requests: list[Any]) -> list[Any]:
        return self.predictor.many(requests)

    async def __call__(self, request: Any) -> dict[str, Any]:
        rows = (await request.json())["data"]
        answers = await self.together(rows) if BATCHING else self.predictor.one(rows)
        return {"predictions": answers.tolist()}


if __name__ == "__main__":
    ray.init(include_dashboard=False, num_cpus=2, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Network.bind(), route_prefix="/predict")
    signal.pause()
