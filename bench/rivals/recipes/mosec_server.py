"""mosec: one worker process; with batching, up to 32 requests that came within 1 ms."""

from __future__ import annotations

from typing import Any

from mosec import Server, Worker
from predictor import BATCHING, MAX_BATCH, WAIT_MS, Predictor


class Network(Worker):
    """Answers requests, one by one or many at once."""

    def __init__(self) -> None:
        super().__init__()
        self.predictor = Predictor()

    def forward(self, data: Any) -> Any:
        if BATCHING:
            answers = self.predictor.many([one["data"] for one in data])
            return [{"predictions": answer.tolist()} for answer in answers]
        return {"predictions": self.predictor.one(data["data"]).tolist()}


if __name__ == "__main__":
    server = Server()
    if BATCHING:
        server.append_worker(Network, num=1, max_batch_size=MAX_BATCH, max_wait_time=WAIT_MS)
    else:
        server.append_worker(Network, num=1)
    server.run()
