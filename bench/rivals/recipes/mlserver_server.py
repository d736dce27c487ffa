"""MLServer: a runtime of ours, which runs the model in the server's own process."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from predictor import Predictor


class Network(MLModel):
    """Answers requests; MLServer itself joins them where its settings say so."""

    async def load(self) -> bool:
        self.predictor = Predictor()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        answer = NumpyCodec.encode_output("y", self.predictor.one(rows))
        return InferenceResponse(model_name=self.name, outputs=[answer])
