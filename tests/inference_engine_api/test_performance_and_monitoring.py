"""Section "Performance and Monitoring": performance, health, resources."""

from __future__ import annotations

from typing import Any

import httpx

from http_server import Server
from inference_engine_api.conftest import Known
from inference_engine_api.contract import BASE, DURATION, TIME, answer, check, number_or_null


def test_performance(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    model_id = load("wine.pkl")
    for _ in range(4):
        body = {"data": known["wine"].data(1), "model_id": model_id}
        answer(client.post(f"{BASE}/predict", json=body))
    measured = answer(client.get(f"{BASE}/metrics/performance"))
    check(
        measured,
        {
            "request_metrics": {
                "total_requests": int,
                "successful_requests": int,
                "failed_requests": int,
                "average_response_time": float,
                "p95_response_time": float,
                "p99_response_time": float,
                "requests_per_second": float,
            },
            "resource_metrics": {
                "cpu_usage": number_or_null(),
                "memory_usage_mb": float,
                "gpu_usage": number_or_null(),
                "gpu_memory_mb": number_or_null(),
            },
            "model_metrics": {
                "active_models": 1,
                "total_model_memory_mb": number_or_null(),
                "cache_hit_rate": number_or_null(),
            },
        },
    )
    requests = measured["request_metrics"]
    total = requests["successful_requests"] + requests["failed_requests"]
    assert requests["total_requests"] == total >= 4
    assert requests["p95_response_time"] <= requests["p99_response_time"]


def test_health_needs_no_key(server: Server) -> None:
    with server.client() as stranger:
        check(
            answer(stranger.get(f"{BASE}/health")),
            {
                "status": "healthy",
                "timestamp": TIME,
                "checks": {
                    "engine_status": "healthy",
                    "memory_usage": "healthy",
                    "model_loading": "healthy",
                    "inference_performance": "healthy",
                },
                "uptime": DURATION,
                "version": str,
            },
        )


def test_resources(client: httpx.Client) -> None:
    used = answer(client.get(f"{BASE}/metrics/resources"))
    check(
        used,
        {
            "cpu": {"usage_percent": number_or_null(), "cores": int, "load_average": [float]},
            "memory": {
                "total_mb": float,
                "used_mb": float,
                "free_mb": float,
                "usage_percent": float,
            },
            "gpu": {
                "count": int,
                "usage_percent": number_or_null(),
                "memory_total_mb": number_or_null(),
                "memory_used_mb": number_or_null(),
                "temperature": number_or_null(),
            },
            "disk": {"usage_percent": float, "free_gb": float},
        },
    )
    assert len(used["cpu"]["load_average"]) == 3
