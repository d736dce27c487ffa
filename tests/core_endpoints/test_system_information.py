"""Section "System Information": GET /info."""

from __future__ import annotations

from pathlib import Path

import httpx
import psutil

from core_endpoints.contract import TIME, answer, check, number_or_null
from http_server import slipstream_server

INFO = {
    "timestamp": TIME,
    "server_config": {
        "optimization_level": ("high", "medium", "none"),
        "caching_strategy": ("lru", "off"),
        "tts_backend": (str, None),
        "auto_optimization": bool,
        "server_features": [str],
    },
    "performance_metrics": {
        "cache_hit_rate": number_or_null(),
        "models_in_memory": int,
        "system_metrics": {
            "cpu_percent": number_or_null(),
            "memory_percent": float,
            "memory_available_gb": float,
        },
        "gpu_metrics": {
            "gpu_available": bool,
            "gpu_count": int,
            "memory_allocated_mb": number_or_null(),
            "gpu_utilization": number_or_null(),
        },
        "tts_metrics": {
            "tts_models_loaded": int,
            "avg_synthesis_time_ms": number_or_null(),
            "synthesis_requests_total": int,
        },
    },
    "tts_service": {
        "status": ("healthy", "degraded", "unavailable"),
        "available_voices": [str],
        "supported_languages": [str],
        "loaded_tts_models": [str],
        "capabilities": {
            "text_to_speech": bool,
            "voice_cloning": False,
            "emotion_synthesis": False,
            "real_time": bool,
        },
    },
}


def test_keys(client: httpx.Client) -> None:
    found = answer(client.get("/info"))
    check(found, INFO, extra=("devices",))
    assert found["devices"] == {"device": "auto", "models_on_gpus": 0, "models_fallen_back": 0}
    system = found["performance_metrics"]["system_metrics"]
    assert 0 < system["memory_percent"] < 100
    assert 0 < system["memory_available_gb"] <= psutil.virtual_memory().total / (1 << 30)
    listed = answer(client.get("/api/inference/models/list"))["models"]
    in_memory = [model for model in listed if model["state"] == "loaded"]
    assert found["performance_metrics"]["models_in_memory"] == len(in_memory)
    gpus = found["performance_metrics"]["gpu_metrics"]
    assert gpus["gpu_available"] == (gpus["gpu_count"] > 0)
    speech = found["tts_service"]
    assert speech["capabilities"]["text_to_speech"] == (speech["status"] != "unavailable")


def test_it_tells_what_the_operator_allows(tmp_path: Path) -> None:
    environment = {
        "ENABLE_COMPILATION": "False",
        "ENABLE_QUANTIZATION": "False",
        "PREDICTION_CACHE_MB": "0",
        "MAX_BATCH_SIZE": "1",
    }
    with (
        slipstream_server("--model-dir", str(tmp_path), env=environment) as server,
        server.client() as client,
    ):
        first = answer(client.get("/info"))
        config = first["server_config"]
        assert config["optimization_level"] == "none"
        assert config["caching_strategy"] == "off"
        assert config["auto_optimization"] is False
        assert not {"batch_processing", "prediction_caching", "auto_optimization"} & set(
            config["server_features"]
        )
        assert first["performance_metrics"]["cache_hit_rate"] is None, "it was the first look"
        changed = {"enable_compilation": True}
        assert client.put("/api/inference/engine/config", json=changed).status_code == 200
        config = answer(client.get("/info"))["server_config"]
        assert config["optimization_level"] == "medium", "a change is seen at once"
