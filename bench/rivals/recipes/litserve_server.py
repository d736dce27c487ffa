"""LitServe: one worker process; with batching, up to 32 requests that came within 1 ms."""

from __future__ import annotations

from typing import Any

import litserve
from predictor import BATCHING, MAX_BATCH, PORT, WAIT_MS, Predictor


class Network(litserve.LitAPI):
    """Answers requests, one by one or many at once."""

    def setup(self, device: str) -> None:
        self.predictor = Predictor()

    # Without annotations: LitServe takes them for a model of the body.
    def decode_request(self, request):
        return request["data"]

    def batch(self, inputs: list[Any]) -> Any:
        return inputs

    def unbatch(self, output: Any) -> Any:
        return output

    def predict(self, x: Any) -> Any:
        return self.predictor.many(x) if BATCHING else self.predictor.one(x)

    def encode_response(self, output: Any) -> Any:
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    size = {"max_batch_size": MAX_BATCH, "batch_timeout": WAIT_MS / 1e3} if BATCHING else {}
    server = litserve.LitServer(Network(**size), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=PORT, log_level="error", generate_client_file=False)
