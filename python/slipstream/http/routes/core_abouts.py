"""What the OpenAPI document says of each route at the root: one entry a route."""

from __future__ import annotations

from slipstream.http.routes.speech_abouts import SPEECH_ABOUTS
from slipstream.http.schemas.core_config import ConfigAnswer
from slipstream.http.schemas.core_health import CoreHealthAnswer
from slipstream.http.schemas.core_info import InfoAnswer
from slipstream.http.schemas.core_predict import CorePredictAnswer, CorePredictRequest
from slipstream.http.schemas.core_stats import StatsAnswer
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
}
"""Method and path → what it is."""
