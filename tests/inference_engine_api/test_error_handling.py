"""Section "Error Handling": every common code, in the documented format."""

from __future__ import annotations

from typing import Any

import httpx

from http_server import Server
from inference_engine_api.conftest import Known
from inference_engine_api.contract import BASE, refused


def test_400_bad_request(client: httpx.Client, load: Any) -> None:
    load("wine.pkl")
    for body in (b"{", b"", b'{"data": [[NaN]]}', b'{"data": ' + b"[" * 2000):
        refused(client.post(f"{BASE}/predict", content=body), 400, "MalformedInputError")


def test_401_unauthorized(server: Server) -> None:
    with server.client() as stranger:
        refused(stranger.get(f"{BASE}/models/list"), 401, "AuthenticationError")
        wrong = {"X-API-Key": "wrong"}
        refused(stranger.get(f"{BASE}/models/list", headers=wrong), 401, "AuthenticationError")


def test_404_not_found(client: httpx.Client, load: Any) -> None:
    model_id = load("wine.pkl")
    body = {"data": [[1.0]], "model_id": "model_12345"}
    error = refused(client.post(f"{BASE}/predict", json=body), 404, "ModelNotFoundError")
    assert error["message"] == "Model with ID 'model_12345' not found"
    assert error["details"] == {"model_id": "model_12345", "available_models": [model_id]}
    refused(client.get(f"{BASE}/nothing"), 404, "EndpointNotFoundError")


def test_405_wrong_method(client: httpx.Client) -> None:
    response = client.get(f"{BASE}/predict")
    refused(response, 405, "MethodNotAllowedError")
    assert response.headers["allow"] == "POST"


def test_409_conflict(client: httpx.Client, load: Any) -> None:
    load("wine.pkl")
    body = {"model_path": "wine.pkl"}
    refused(client.post(f"{BASE}/models/load", json=body), 409, "ModelAlreadyLoadedError")


def test_422_unprocessable(client: httpx.Client, load: Any, known: dict[str, Known]) -> None:
    load("wine.pkl")
    for change in (
        {"data": [[1.0]]},
        {"data": [["red"] * 13]},
        {"timeout_ms": 0},
        {"priority": "someday"},
        {"batch_size": 0},
    ):
        body = {"data": known["wine"].data(1)} | change
        refused(client.post(f"{BASE}/predict", json=body), 422, "InvalidInputError")


def test_the_request_id_is_echoed(client: httpx.Client) -> None:
    response = client.get(f"{BASE}/nothing", headers={"X-Request-ID": "req_12345"})
    assert refused(response, 404, "EndpointNotFoundError")["request_id"] == "req_12345"
