"""API keys on the real routes: closed without one, open where the API says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from http_models import fresh_folder, json_rows, rows_of
from http_server import Server, error_of, slipstream_server

BASE = "/api/inference"
CLOSED = [
    ("POST", f"{BASE}/models/load"),
    ("GET", f"{BASE}/models/list"),
    ("GET", f"{BASE}/models/wine/info"),
    ("GET", f"{BASE}/models/wine/metrics"),
    ("POST", f"{BASE}/models/wine/reload"),
    ("DELETE", f"{BASE}/models/wine"),
    ("POST", f"{BASE}/predict"),
    ("POST", f"{BASE}/predict/batch"),
    ("GET", f"{BASE}/nothing"),
    ("GET", f"{BASE}/predict"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = fresh_folder(tmp_path_factory, "http-keys", "wine.pkl")
    env = {"REQUIRE_API_KEY": "True", "API_KEYS": "key1, key2 ,key3", "MODEL_DIR": str(folder)}
    with slipstream_server("--load", "wine.pkl=wine", env=env) as server:
        yield server


@pytest.mark.parametrize(("method", "path"), CLOSED)
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": "key"}, {"X-API-Key": "key1,key2"}, {"Authorization": "Bearer nokey"}],
)
def test_without_a_known_key(
    server: Server, method: str, path: str, headers: dict[str, str]
) -> None:
    with server.client() as client:
        response = client.request(method, path, headers=headers, json={})
    assert response.status_code == 401
    error = error_of(response)
    assert error["error"] == "AuthenticationError"
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "key1" not in response.text


@pytest.mark.parametrize("key", ["key1", "key2", "key3"])
def test_with_one(server: Server, key: str) -> None:
    request: dict[str, Any] = {"data": json_rows(rows_of("wine", 1))}
    with server.client() as client:
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            for path in ("predict", "predict/batch"):
                response = client.post(f"{BASE}/{path}", json=request, headers=headers)
                assert response.status_code == 200
            assert client.get(f"{BASE}/models/list", headers=headers).status_code == 200
            assert client.get(f"{BASE}/nothing", headers=headers).status_code == 404


def test_health_is_open(server: Server) -> None:
    with server.client() as client:
        for headers in ({}, {"X-API-Key": "wrong"}):
            assert client.get(f"{BASE}/health", headers=headers).status_code == 200


def test_a_body_is_not_read_before_the_key(server: Server) -> None:
    """A stranger cannot make the server take in megabytes."""
    with server.connect() as connection:
        connection.sendall(
            b"POST /api/inference/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n"
        )
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_keys_that_are_not_required(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = fresh_folder(tmp_path_factory, "http-no-keys", "wine.pkl")
    env = {"API_KEYS": "key1", "MODEL_DIR": str(folder)}
    with slipstream_server(env=env) as server, server.client() as client:
        assert client.get(f"{BASE}/models/list").status_code == 200
