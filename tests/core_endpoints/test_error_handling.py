"""Section "Error Handling": the format, and who is let in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core_endpoints.contract import answer, refused
from http_models import Gate
from http_server import Server, eventually, read_response, slipstream_server

OPEN = ("/", "/health", "/info", "/config", "/docs", "/openapi.json", "/metrics")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("locked")
    environment = {
        "REQUIRE_API_KEY": "True",
        "API_KEYS": "right",
        "EXAMPLE_MODEL": "True",
        "MAX_BODY_BYTES": "2000",
        "MAX_INFLIGHT_BODY_BYTES": "2000",
    }
    with slipstream_server("--model-dir", str(folder), env=environment) as server:
        yield server


@pytest.fixture(scope="module")
def stranger(locked: Server) -> Iterator[httpx.Client]:
    with locked.client() as client:
        yield client


class TestWithKeys:
    @pytest.mark.parametrize("path", OPEN)
    def test_open(self, stranger: httpx.Client, path: str) -> None:
        assert stranger.get(path).status_code == 200

    @pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}])
    def test_not_authenticated(self, stranger: httpx.Client, headers: dict[str, str]) -> None:
        body = {"model_name": "example", "inputs": [1]}
        for response in (
            stranger.post("/predict", json=body, headers=headers),
            stranger.get("/stats", headers=headers),
            stranger.get("/nothing", headers=headers),
        ):
            found = refused(response, 401, "AuthenticationError")
            assert found["detail"] == "Not authenticated"
            assert "www-authenticate" in response.headers

    @pytest.mark.parametrize("headers", [{"X-API-Key": "right"}, {"Authorization": "Bearer right"}])
    def test_known(self, stranger: httpx.Client, headers: dict[str, str]) -> None:
        body = {"model_name": "example", "inputs": [1]}
        answer(stranger.post("/predict", json=body, headers=headers))
        answer(stranger.get("/stats", headers=headers))
        refused(stranger.get("/nothing", headers=headers), 404, "EndpointNotFoundError")

    def test_too_large(self, stranger: httpx.Client) -> None:
        response = stranger.post("/predict", content=b"x" * 2001, headers={"X-API-Key": "right"})
        refused(response, 413, "BodyTooLargeError")


def test_ids_are_echoed(client: httpx.Client) -> None:
    response = client.post("/predict", json={}, headers={"X-Request-ID": "mine-1"})
    assert refused(response, 422, "InvalidInputError")["request_id"] == "mine-1"
    response = client.get("/health", headers={"X-Request-ID": "mine-2"})
    assert response.headers["x-request-id"] == "mine-2"


def test_a_server_that_waits_no_longer(tmp_path: Path) -> None:
    """What is in progress when the drain is over gets an answer, in the format of its route."""
    folder = tmp_path / "models"
    folder.mkdir()
    gate = Gate(folder, "gated")
    environment = {"ALLOW_CUSTOM_CODE": "True", "DRAIN_TIMEOUT_S": "0.2"}
    body = b'{"model_name": "gated", "inputs": [0, 1]}'
    with slipstream_server(
        *("--model-dir", str(folder), "--load", "gated.py=gated"), env=environment
    ) as server:
        gate.close()
        with server.connect() as working:
            working.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            eventually(lambda: gate.ran == [0])
            server.process.terminate()
            status, _, answered = read_response(working)
        gate.open()
        found = json.loads(answered)
    assert status == found["status_code"] == 503
    assert (found["success"], found["error"]) == (False, "Unavailable")


@pytest.mark.parametrize("path", ["/predictions", "/predict/", "/Predict", "/api"])
def test_unknown_paths(client: httpx.Client, path: str) -> None:
    body = refused(client.post(path, json={}), 404, "EndpointNotFoundError")
    assert path in body["detail"]


@pytest.mark.parametrize("path", ["/", "/health", "/info", "/stats", "/config"])
def test_methods(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={})
    refused(response, 405, "MethodNotAllowedError")
    assert response.headers["allow"] == "GET, HEAD"
    assert client.head(path).status_code == 200
