"""What the OpenAPI document says of each route at the root: one entry a route."""

from __future__ import annotations

from slipstream.http.routes.speech_abouts import SPEECH_ABOUTS
from slipstream.http.schemas.catalog import ModelsAnswer
from slipstream.http.schemas.core_config import ConfigAnswer
from slipstream.http.schemas.core_health import CoreHealthAnswer
from slipstream.http.schemas.core_info import InfoAnswer
from slipstream.http.schemas.core_predict import CorePredictAnswer, CorePredictRequest
from slipstream.http.schemas.core_stats import StatsAnswer
from slipstream.http.schemas.downloads import DownloadAnswer, DownloadQuery, DownloadRequest
from slipstream.http.types import About

CORE_ABOUTS: dict[str, About] = {
    "GET /health": About(
        *("Whether to send traffic here", CoreHealthAnswer), others=((503, CoreHealthAnswer),)
    ),
    "GET /info": About("What the server can do, and how it is doing", InfoAnswer, is_kept=True),
    "GET /stats": About("How much the engine did, and how fast", StatsAnswer),
    "GET /config": About("The configuration in force", ConfigAnswer, is_kept=True),
    "POST /predict": About(
        *("Answer one input or several", CorePredictAnswer, CorePredictRequest), fails=(404, 504)
    ),
    **SPEECH_ABOUTS,
    "GET /models": About("What models there are, and could be", ModelsAnswer),
    "POST /models/download": About(
        *("Fetch a model from the hub, or from a URL", DownloadAnswer, DownloadRequest),
        fails=(404, 422),
        status=202,
    ),
    "GET /models/download/{job_id}": About(
        "How a download is going", DownloadAnswer, query=DownloadQuery
    ),
    "DELETE /models/download/{job_id}": About("Cancel a download", DownloadAnswer, fails=(409,)),
}
"""Method and path → what it is."""
