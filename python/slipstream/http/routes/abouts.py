"""What the OpenAPI document says of each route of the table: one entry a route."""

from __future__ import annotations

import msgspec

from slipstream.http.schemas.engine import (
    CacheClearedAnswer,
    EngineConfigAnswer,
    EngineConfigRequest,
    EngineStatusAnswer,
    RestartAnswer,
)
from slipstream.http.schemas.experiments import (
    ExperimentAnswer,
    ExperimentEnd,
    ExperimentList,
    ExperimentRequest,
)
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
from slipstream.http.schemas.optimize import (
    CompileAnswer,
    DryRun,
    OptimizeAnswer,
    OptimizeProgress,
    OptimizeRequest,
    QuantizeAnswer,
    QuantizeRequest,
)
from slipstream.http.schemas.predict import (
    BatchAnswer,
    PredictAnswer,
    PredictOptions,
    PredictRequest,
)
from slipstream.http.schemas.streams import (
    CloseAnswer,
    ResultsAnswer,
    ResultsQuery,
    SendAnswer,
    SendRequest,
    StartAnswer,
    StartRequest,
)
from slipstream.http.schemas.tasks import (
    AsyncAccepted,
    AsyncOptions,
    AsyncRequest,
    TaskAnswer,
    TaskQuery,
)
from slipstream.http.types import About


def _prediction(summary: str, gives: type[msgspec.Struct]) -> About:
    return About(
        *(summary, gives, PredictRequest), fails=(404, 504), query=PredictOptions, binary=True
    )


ABOUTS: dict[str, About] = {
    "POST /models/load": About("Load a model file", LoadAnswer, LoadRequest, fails=(404, 409)),
    "GET /models/list": About("What is loaded", ModelList, is_kept=True),
    "GET /models/{model_id}/info": About("What a model is", ModelInfo, is_kept=True),
    "GET /models/{model_id}/metrics": About("What a model did", ModelMetricsAnswer),
    "POST /models/{model_id}/reload": About(
        "Read a model's file again", LoadAnswer, fails=(409, 422)
    ),
    "DELETE /models/{model_id}": About("Unload a model", UnloadAnswer, fails=(409,)),
    "POST /predict": _prediction("Answer rows", PredictAnswer),
    "POST /predict/batch": _prediction("Answer rows, with the times of a batch", BatchAnswer),
    "POST /predict/multi-batch": About(
        "Answer requests for several models", MultiBatchAnswer, MultiBatchRequest
    ),
    "POST /predict/async": About(
        *("Accept rows, to be answered later", AsyncAccepted, AsyncRequest),
        fails=(404,),
        query=AsyncOptions,
        binary=True,
        status=202,
    ),
    "GET /predict/async/{task_id}": About("A task, or its result", TaskAnswer, query=TaskQuery),
    "DELETE /predict/async/{task_id}": About("Cancel a task", TaskAnswer, fails=(409,)),
    "POST /models/{model_id}/quantize": About(
        *("Store a network's numbers in a smaller type", QuantizeAnswer, QuantizeRequest),
        fails=(409,),
        query=DryRun,
    ),
    "POST /models/{model_id}/compile": About(
        "Compile a model that was loaded as it is", CompileAnswer, fails=(409, 422)
    ),
    "POST /models/{model_id}/optimize": About(
        "Search for how a model runs best", OptimizeAnswer, OptimizeRequest, fails=(409,)
    ),
    "GET /models/{model_id}/optimize": About("How that search is going", OptimizeProgress),
    "GET /experiments/list": About("All experiments", ExperimentList),
    "GET /experiments/{experiment_id}": About("What an experiment is, and did", ExperimentAnswer),
    "PUT /experiments/{experiment_id}": About(
        *("Define or change an experiment", ExperimentAnswer, ExperimentRequest),
        fails=(409,),
        others=((201, ExperimentAnswer),),
    ),
    "DELETE /experiments/{experiment_id}": About("End an experiment", ExperimentEnd),
    "POST /stream/start": About(
        "Open a stream: requests in sequence", StartAnswer, StartRequest, fails=(404, 409)
    ),
    "POST /stream/{stream_id}/send": About(
        "Send the next piece", SendAnswer, SendRequest, fails=(409,)
    ),
    "GET /stream/{stream_id}/results": About(
        "Results in order, as JSON or as events", ResultsAnswer, query=ResultsQuery
    ),
    "DELETE /stream/{stream_id}": About("Close a stream", CloseAnswer),
    "GET /engine/status": About("What the engine does", EngineStatusAnswer),
    "GET /engine/config": About("What the engine may do", EngineConfigAnswer),
    "PUT /engine/config": About(
        "Change what the engine may do", EngineConfigAnswer, EngineConfigRequest
    ),
    "POST /engine/restart": About("Build the engine anew", RestartAnswer, fails=(409,)),
    "DELETE /engine/cache": About("Forget remembered answers", CacheClearedAnswer),
    "GET /metrics/performance": About("How fast the engine answers", PerformanceAnswer),
    "GET /metrics/resources": About("What the machine uses", ResourcesAnswer),
    "GET /health": About("Whether all is well", HealthAnswer, others=((503, HealthAnswer),)),
}
"""Method and path below ``/api/inference`` → what it is."""
