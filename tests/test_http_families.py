"""Two families of errors: every way in which an error becomes an answer picks the right one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from http_server import SMALL_APP, Server, core_error_of, read_response, running, slipstream_server
from slipstream.api import Engine
from slipstream.http.clock import Clock
from slipstream.http.failures import family_of
from slipstream.http.routes.context import Context
from slipstream.http.routes.table import all_routes
from slipstream.settings import Settings


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    limits = {"MAX_BODY_BYTES": "1000", "BODY_TIMEOUT_S": "0.2", "MAX_CONCURRENT_REQUESTS": "3"}
    with running((SMALL_APP,), limits) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_every_row_is_of_the_family_of_its_path() -> None:
    with Engine() as engine:
        routes = all_routes(Context(engine, Settings(), Clock()))
    assert {family_of(route.path) for route in routes} == {"inference", "core"}
    for route in routes:
        assert route.family == family_of(route.path), route.path


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/core/nothing", 404, "EndpointNotFoundError"),
        ("GET", "/API/inference/health", 404, "EndpointNotFoundError"),
        ("PUT", "/core/echo", 405, "MethodNotAllowedError"),
        ("GET", "/core/fault", 500, "InternalServerError"),
        ("GET", "/core/full", 503, "QueueFullError"),
        ("GET", "/core/late", 504, "DeadlineExceededError"),
        ("GET", "/core/late-slow", 504, "DeadlineExceededError"),
        ("GET", "/core/late-later", 504, "DeadlineExceededError"),
    ],
)
def test_core_routes(client: httpx.Client, method: str, path: str, status: int, kind: str) -> None:
    response = client.request(method, path)
    body = core_error_of(response)
    assert (response.status_code, body["error_type"]) == (status, kind)
    assert ("retry-after" in response.headers) == (status == 503)
    assert ("allow" in response.headers) == (status == 405)
    if status == 504:
        assert body["error"] == "Request timed out"
        assert body["processing_time"] >= 0.05


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 422), (b"x" * 1001, 413)])
def test_bodies(client: httpx.Client, body: bytes, status: int) -> None:
    response = client.post("/core/envelope", content=body)
    assert response.status_code == status
    core_error_of(response)


def test_a_body_that_grows_too_large(client: httpx.Client) -> None:
    response = client.post("/core/echo", content=iter([b"x" * 600, b"x" * 600]))
    assert response.status_code == 413
    assert core_error_of(response)["error"] == "Body too large"


def test_a_body_that_does_not_come(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /core/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        status, _, body = read_response(connection)
    assert status == json.loads(body)["status_code"] == 408


def test_a_server_that_is_full() -> None:
    with (
        running((SMALL_APP,), {"MAX_CONCURRENT_REQUESTS": "1"}) as server,
        server.client() as client,
        server.connect() as connection,
    ):
        connection.sendall(b"POST /core/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        response = client.get("/core/late")
        while response.status_code == 504:  # it came first
            response = client.get("/core/late")
        assert response.status_code == 503
        assert core_error_of(response)["error_type"] == "OverloadedError"


def test_nobody_known() -> None:
    keys = {"REQUIRE_API_KEY": "True", "API_KEYS": "first"}
    with running((SMALL_APP,), keys) as server, server.client() as client:
        for path in ("/core/late", "/nothing"):
            response = client.get(path)
            assert response.status_code == 401
            assert core_error_of(response)["detail"] == "Not authenticated"
            assert "www-authenticate" in response.headers
        response = client.get("/core/state")
        assert response.status_code == 200


def test_too_many_of_one_client() -> None:
    with running((SMALL_APP,), {"RATE_LIMIT_RPS": "0.01"}) as server, server.client() as client:
        assert client.get("/core/late").status_code == 504
        response = client.get("/core/late")
        assert response.status_code == 429
        assert core_error_of(response)["error"] == "Rate limit"
        assert "retry-after" in response.headers


def test_the_server_itself(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("none")
    with (
        slipstream_server("--model-dir", str(folder)) as server,
        server.client() as client,
    ):
        response = client.post("/")
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD"
        core_error_of(response)
        core_error_of(client.get("/nothing"))
