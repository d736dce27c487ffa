"""What the OpenAPI document says of each route of the table: one entry a route."""

from __future__ import annotations

import msgspec

from slipstream.http.schemas.engine import EngineConfigAnswer, EngineStatusAnswer
from slipstream.http.schemas.health import HealthAnswer
from slipstream.http.schemas.metrics import PerformanceAnswer, ResourcesAnswer
from slipstream.http.schemas.models import (
    LoadAnswer,
    LoadRequest,
    ModelInfo,
    ModelList,
    ModelMetricsAnswer,
    UnloadAnswer,
)
from slipstream.http.schemas.multi_batch import MultiBatchAnswer, MultiBatchRequest
from slipstream.http.schemas.predict import (
    BatchAnswer,
    PredictAnswer,
    PredictOptions,
    PredictRequest,
)
from slipstream.http.types import About


def _prediction(summary: str, gives: type[msgspec.Struct]) -> About:
    return About(
        *(summary, gives, PredictRequest), fails=(404, 504), query=PredictOptions, binary=True
    )


ABOUTS: dict[str, About] = {
    "POST /models/load": About("Load a model file", LoadAnswer, LoadRequest, fails=(404, 409)),
    "GET /models/list": About("What is loaded", ModelList),
    "GET /models/{model_id}/info": About("What a model is", ModelInfo),
    "GET /models/{model_id}/metrics": About("What a model did", ModelMetricsAnswer),
    "POST /models/{model_id}/reload": About("Read a model's file again", LoadAnswer, fails=(422,)),
    "DELETE /models/{model_id}": About("Unload a model", UnloadAnswer),
    "POST /predict": _prediction("Answer rows", PredictAnswer),
    "POST /predict/batch": _prediction("Answer rows, with the times of a batch", BatchAnswer),
    "POST /predict/multi-batch": About(
        "Answer requests for several models", MultiBatchAnswer, MultiBatchRequest
    ),
    "GET /engine/status": About("What the engine does", EngineStatusAnswer),
    "GET /engine/config": About("What the engine may do", EngineConfigAnswer),
    "GET /metrics/performance": About("How fast the engine answers", PerformanceAnswer),
    "GET /metrics/resources": About("What the machine uses", ResourcesAnswer),
    "GET /health": About("Whether all is well", HealthAnswer, others=((503, HealthAnswer),)),
}
"""Method and path below ``/api/inference`` → what it is."""
