"""Section "Root Endpoint": GET /."""

from __future__ import annotations

import httpx

from core_endpoints.contract import TIME, answer, check
from slipstream import __version__


def test_keys(client: httpx.Client) -> None:
    found = answer(client.get("/"))
    check(
        found,
        {
            "message": str,
            "version": __version__,
            "status": "running",
            "timestamp": TIME,
            "environment": "testing",
            "tts_support": {"enabled": bool, "supported_models": [str], "features": [str]},
            "endpoints": {
                "inference": {"predict": "/predict"},
                "audio": {"synthesize": (str, None), "transcribe": (str, None)},
                "models": {"list": (str, None), "download": (str, None)},
            },
        },
    )


def test_endpoints_that_are_named_exist(client: httpx.Client) -> None:
    served = answer(client.get("/openapi.json"))["paths"]
    for area in answer(client.get("/"))["endpoints"].values():
        for path in area.values():
            assert path is None or path in served
    for path in ("/predict", "/synthesize", "/transcribe", "/models", "/models/download"):
        named = [
            one for area in answer(client.get("/"))["endpoints"].values() for one in area.values()
        ]
        assert (path in named) == (path in served)


def test_speech_that_is_not_there_is_not_claimed(client: httpx.Client) -> None:
    support = answer(client.get("/"))["tts_support"]
    if not support["enabled"]:
        assert "facebook/bart-large" not in support["supported_models"]
