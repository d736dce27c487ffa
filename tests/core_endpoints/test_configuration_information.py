"""Section "Configuration Information": GET /config."""

from __future__ import annotations

from pathlib import Path

import httpx

from core_endpoints.contract import TIME, answer, check
from http_server import Server, slipstream_server
from slipstream.setting_options import OPTIONS


def test_keys(server: Server, client: httpx.Client, folder: Path) -> None:
    found = answer(client.get("/config"))
    check(
        found,
        {
            "configuration": {
                "device": {
                    "device_type": "cpu",
                    "device_id": None,
                    "use_fp16": False,
                    "use_tensorrt": False,
                },
                "batch": {"batch_size": 1, "max_batch_size": 64},
            },
            "inference_config": {
                "device_type": "cpu",
                "batch_size": 1,
                "use_fp16": False,
                "enable_profiling": False,
            },
            "server_config": {"host": "127.0.0.1", "port": server.port, "log_level": "INFO"},
            "logging_config": {
                "log_level": "INFO",
                "log_directory": str(folder / "logs"),
                "log_files": dict,
            },
        },
        extra=("rate_limiting", "settings"),
    )
    file = found["logging_config"]["log_files"]["server.log"]
    check(file, {"size_mb": float, "last_modified": TIME})
    real = (folder / "logs" / "server.log").stat().st_size
    assert abs(file["size_mb"] * 1024 * 1024 - real) < 4096


def test_every_setting_is_there_and_no_secret(client: httpx.Client) -> None:
    response = client.get("/config")
    settings = answer(response)["settings"]
    assert list(settings) and set(settings) == set(OPTIONS)
    for name, option in OPTIONS.items():
        if option.secret:
            assert isinstance(settings[name], bool), name
    assert settings["api_keys"] is True
    assert settings["callback_secret"] is False
    assert settings["max_workers"] == 8
    assert "-secret" not in response.text


def test_limits_and_changes(tmp_path: Path) -> None:
    environment = {
        "RATE_LIMIT_RPS": "1000",
        "RATE_LIMIT_BURST": "50",
        "RATE_LIMIT_CONCURRENT": "7",
        "MODEL_RATE_LIMITS": "wine=100,*=5:10:2",
        "TRUSTED_PROXIES": "10.0.0.0/8",
        "CALLBACK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "INFERENCE_API_DEBUG": "True",
    }
    with (
        slipstream_server("--model-dir", str(tmp_path), env=environment) as server,
        server.client() as client,
    ):
        response = client.get("/config")
        found = answer(response)
        assert found["rate_limiting"] == {
            "enabled": True,
            "requests_per_second": 1000.0,
            "burst": 50,
            "concurrent_requests": 7,
            "models": [
                {
                    "model_id": "wine",
                    "requests_per_second": 100.0,
                    "burst": 0,
                    "concurrent_requests": 0,
                },
                {
                    "model_id": "*",
                    "requests_per_second": 5.0,
                    "burst": 10,
                    "concurrent_requests": 2,
                },
            ],
        }
        assert found["settings"]["trusted_proxies"] == ["10.0.0.0/8"]
        assert found["settings"]["callback_secret"] is True
        assert "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" not in response.text
        assert found["logging_config"] == {
            "log_level": "DEBUG",
            "log_directory": None,
            "log_files": {},
        }
        assert found["inference_config"]["enable_profiling"] is True
        changed = {"max_batch_size": 8}
        assert client.put("/api/inference/engine/config", json=changed).status_code == 200
        again = answer(client.get("/config"))
        assert again["configuration"]["batch"]["max_batch_size"] == 8
        assert again["settings"]["max_batch_size"] == 8
