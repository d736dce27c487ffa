"""BentoML: a service of one worker; no batching."""

from __future__ import annotations

import bentoml
from predictor import Predictor


@bentoml.service(workers=1, traffic={"timeout": 60})
class Network:
    """Answers requests one by one."""

    def __init__(self) -> None:
        self.predictor = Predictor()

    @bentoml.api
    def predict(self, data: list[list[float]]) -> dict[str, list[list[float]]]:
        return {"predictions": self.predictor.one(data).tolist()}
