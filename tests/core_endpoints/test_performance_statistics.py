"""Section "Performance Statistics": GET /stats."""

from __future__ import annotations

import httpx

from core_endpoints.contract import answer, check, number_or_null, predict

STATS = {
    "stats": {
        "requests_processed": int,
        "total_processing_time": float,
        "avg_processing_time": number_or_null(),
        "active_requests": int,
        "queue_size": int,
        "memory_usage_mb": float,
    },
    "performance_report": {
        "throughput_fps": float,
        "latency_p50": number_or_null(),
        "latency_p95": number_or_null(),
        "latency_p99": number_or_null(),
        "device_utilization": number_or_null(),
    },
}


def test_figures_are_measured(client: httpx.Client) -> None:
    before = answer(client.get("/stats"))
    check(before, STATS)
    for _ in range(20):
        predict(client, "example", [1, 2, 3])
    after = answer(client.get("/stats"))
    stats, report = after["stats"], after["performance_report"]
    assert stats["requests_processed"] == before["stats"]["requests_processed"] + 20
    assert stats["total_processing_time"] > before["stats"]["total_processing_time"]
    mean = stats["total_processing_time"] / stats["requests_processed"]
    assert abs(stats["avg_processing_time"] - mean) < 1e-9
    assert 0 < report["latency_p50"] <= report["latency_p95"] <= report["latency_p99"] < 30
    assert report["throughput_fps"] > 0
    assert 0 <= report["device_utilization"] <= 1
    assert stats["memory_usage_mb"] > 10
    assert stats["active_requests"] == 1, "this one"


def test_they_are_never_from_a_cache(client: httpx.Client) -> None:
    for path in ("/stats", "/health"):
        response = client.get(path)
        assert response.status_code == 200
        assert "etag" not in response.headers
        assert "cache-control" not in response.headers
